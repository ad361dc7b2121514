"""Several cameras in one picture: GR00T's 2 x 2 grid.

GR00T N1 (arXiv 2503.14734), appendix F: left camera top left, right camera top right, wrist bottom left, black bottom
right. Every quarter is exactly half of each side, so that splitting cuts where composing put the seam.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, SchemaError
from storage.pictures.resizing import Resize

MOST_VIEWS = 4


def compose(views: Mapping[str, NDArray[np.uint8]], cameras: Sequence[str], size_px: tuple[int, int]) -> Any:
    """The picture (H, W, 3) of the views (each (h, w, 3)) of `cameras`, in reading order; what is missing is black."""
    _check(cameras, size_px)
    missing = [camera for camera in cameras if camera not in views]
    if missing:
        raise SchemaError(f"a grid of {', '.join(cameras)} lacks {', '.join(missing)}; there are {', '.join(views)}")
    half = (size_px[0] // 2, size_px[1] // 2)
    resize = Resize(size_px=half)
    grid = np.zeros((*size_px, 3), np.uint8)
    for place, camera in enumerate(cameras):
        grid[quarter(place, size_px)] = resize(views[camera])
    return grid


def split(clip: NDArray[Any], cameras: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The clips (T, H / 2, W / 2, 3) of each camera in a clip of a grid (T, H, W, 3)."""
    size_px = (clip.shape[1], clip.shape[2])
    _check(cameras, size_px)
    return {camera: clip[(slice(None), *quarter(place, size_px))] for place, camera in enumerate(cameras)}


def quarter(place: int, size_px: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of quarter `place` (reading order) of a picture of (height, width)."""
    height, width = size_px[0] // 2, size_px[1] // 2
    row, column = divmod(place, 2)
    return slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)


def _check(cameras: Sequence[str], size_px: tuple[int, int]) -> None:
    if not 1 <= len(cameras) <= MOST_VIEWS or len(set(cameras)) != len(cameras):
        raise ConfigError(f"a grid holds one to {MOST_VIEWS} different cameras; got {list(cameras)}")
    if size_px[0] % 2 or size_px[1] % 2:
        raise ConfigError(f"a grid needs an even height and width; got {size_px[0]} x {size_px[1]} px")
