"""How images lie in an array of a foreign file, and one of them as RGB or depth.

What is certain is converted: channels first or last, floats that fill 0..1, whole numbers in floats, a fourth channel
of transparency. What is not is left out with the reason, which a mapping (`camera.NAME: column|chw|float`) can
overrule.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.formats.depth import Depth
from storage.pictures.resizing import RGB

_SMALLEST_PX = 8
_CHANNELS = (3, 4)
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class ImageLayout:
    """`first` says that channels come first; `scale` brings numbers to 0..255 (colour) or millimetres (depth)."""

    height_px: int
    width_px: int
    first: bool = False
    depth: bool = False
    scale: float = 1.0
    flipped: bool = False
    bgr: bool = False

    def convert(self, image: NDArray[Any]) -> RGB | Depth:
        """One image of the array as (H, W, 3) uint8, or as (H, W) uint16 for depth."""
        if self.depth:
            plane = image.reshape(self.height_px, self.width_px)
            values = (
                np.rint(np.nan_to_num(plane) * self.scale) if plane.dtype.kind == "f" or self.scale != 1.0 else plane
            )
            out: NDArray[Any] = np.clip(values, 0, 65535).astype(np.uint16)
        else:
            hwc = np.moveaxis(image, 0, -1) if self.first else image
            hwc = hwc[..., [2, 1, 0]] if self.bgr else hwc[..., :3]
            out = hwc if hwc.dtype == np.uint8 else np.clip(np.rint(hwc * self.scale), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(out[::-1] if self.flipped else out)


def image_layout(
    name: str, shape: tuple[int, ...], dtype: Any, sample: Callable[[], NDArray[Any]], options: Collection[str] = ()
) -> ImageLayout | str | None:
    """How the images of an array (T, ...) lie; the reason why they are left out; or None where it holds no images.

    `sample` gives some of the images (n, ...), and is asked only where the dtype leaves the range open.
    """
    named_depth = "depth" in name.lower() or "metres" in options
    if len(shape) == 3 and min(shape[1:]) >= _SMALLEST_PX and (named_depth or dtype == np.uint16):
        return _depth(name, (shape[1], shape[2]), dtype, options)
    if len(shape) != 4:
        return None
    if shape[3] == 1 and min(shape[1:3]) >= _SMALLEST_PX:
        if named_depth or dtype == np.uint16:
            return _depth(name, (shape[1], shape[2]), dtype, options)
        return "images of one channel: neither colour nor called depth"
    layout = _colour(shape, options)
    if not isinstance(layout, ImageLayout):
        return layout
    layout = replace(layout, flipped="flipped" in options, bgr="bgr" in options)
    return layout if dtype == np.uint8 else _scaled(layout, dtype, sample, options)


def _colour(shape: tuple[int, ...], options: Collection[str]) -> ImageLayout | str | None:
    last = shape[3] in _CHANNELS and min(shape[1:3]) >= _SMALLEST_PX
    first = shape[1] in _CHANNELS and min(shape[2:]) >= _SMALLEST_PX
    if last and first and not {"chw", "hwc"} & set(options):
        return f"images of shape {shape[1:]}: which axis holds the channels?"
    if first and "hwc" not in options:
        return ImageLayout(height_px=shape[2], width_px=shape[3], first=True)
    if last and "chw" not in options:
        return ImageLayout(height_px=shape[1], width_px=shape[2])
    return None


def _scaled(
    layout: ImageLayout, dtype: Any, sample: Callable[[], NDArray[Any]], options: Collection[str]
) -> ImageLayout | str:
    if "float" in options:
        return replace(layout, scale=255.0)
    kind = np.dtype(dtype).kind
    if kind not in "fiu":
        return f"images of {dtype}"
    values = sample()
    if not np.isfinite(values).all() or not values.size:
        return f"images of {dtype} that are not finite"
    low, high = float(values.min()), float(values.max())
    if kind == "f" and low >= 0 and 0 < high <= 1:
        return replace(layout, scale=255.0)
    if low >= 0 and 1 < high <= 255 and (values == np.rint(values)).all():
        return layout
    return f"images of {dtype} from {low:g} to {high:g}: neither 0..1 nor 0..255; say which by |float in a mapping"


def _depth(name: str, size: tuple[int, int], dtype: Any, options: Collection[str]) -> ImageLayout | str:
    kind = np.dtype(dtype)
    if kind == np.uint16 and "metres" not in options:
        return ImageLayout(height_px=size[0], width_px=size[1], depth=True)
    if "metres" in options and kind.kind in "fiu":
        return ImageLayout(height_px=size[0], width_px=size[1], depth=True, scale=1000.0)
    return f"depth as {kind} of an unknown unit; say that it is metres by |metres in a mapping"


def image_slices(data: Any, length: int) -> Iterator[NDArray[Any]]:
    """The first `length` images of an array one by one; read a few at a time, for chunks hold several."""
    for start in range(0, length, _AT_ONCE):
        yield from np.asarray(data[start : min(length, start + _AT_ONCE)])
