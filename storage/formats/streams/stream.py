"""A foreign recording as named streams: what every reader of a laboratory's own layout brings into one form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from storage.episode import Layer
from storage.formats.mapping.column_map import Piece
from storage.formats.streams.images import ImageLayout, image_layout, image_slices
from storage.formats.untrusted.limits import check_array, check_image

Kind = Literal["numbers", "image", "depth", "video", "text", "other"]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Something with one entry a step. `shape` (T, ...) and `dtype` are those of the source; `read` gives the numbers
    (T, ...) or texts (T,), `images` the converted images, `frames` the decoded frames of a video. `why` says why a
    stream of kind "other" is left out, or what is odd about one that is not."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Any] | None = None
    images: Callable[[int], Iterator[Any]] | None = None
    frames: Callable[[], Iterator[av.VideoFrame]] | None = None
    size_px: tuple[int, int] = (0, 0)
    why: str = ""

    @property
    def length(self) -> int:
        return self.shape[0] if self.shape else 0

    def numbers(self) -> NDArray[Any]:
        """The numbers as rows (T, D)."""
        assert self.read is not None
        check_array(self.name, self.shape, np.dtype(self.dtype).itemsize)
        values = np.asarray(self.read())
        return values.reshape(len(values), -1)

    @property
    def width(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) if self.shape else 0


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One episode of a source. `state` and `action` are where a reader knows them to be, `rate_hz` 0 where the source
    does not tell; `times` (T,) seconds as recorded; `about` is kept in the provenance; `runs` are texts over time."""

    streams: Mapping[str, Stream]
    length: int
    rate_hz: float = 0.0
    instruction: str = ""
    robot_type: str = ""
    layer: Layer = "real"
    state: tuple[Piece, ...] = ()
    action: tuple[Piece, ...] = ()
    times: NDArray[np.float64] | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    runs: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ref:
    """Where one recording lies: `files` below the root, and whatever else finds it there, as JSON."""

    name: str
    files: tuple[str, ...]
    place: Mapping[str, Any] = field(default_factory=dict)


def array_stream(name: str, data: Any, options: frozenset[str] = frozenset(), *, flipped: bool = False) -> Stream:
    """The stream of an array of HDF5 or zarr (T, ...): numbers, images or depth, by its shape and dtype."""
    shape, dtype = tuple(int(size) for size in data.shape), np.dtype(data.dtype) if _plain(data.dtype) else None
    if dtype is None or dtype.kind in "SUO":
        if shape and len(shape) == 1:
            return Stream(name=name, kind="text", shape=shape, dtype="text", read=lambda: _texts(data[:]))
        return Stream(name=name, kind="other", shape=shape, dtype="text", why="text or objects of no known meaning")
    layout = image_layout(name, shape, dtype, lambda: _sample(data), options)
    if isinstance(layout, str):
        return Stream(name=name, kind="other", shape=shape, dtype=str(dtype), why=layout)
    if layout is not None:
        return image_stream(name, data, shape, str(dtype), layout, flipped=flipped)
    if dtype.kind not in "fiub" or not shape or 0 in shape:
        return Stream(name=name, kind="other", shape=shape, dtype=str(dtype), why="holds no numbers for each step")
    return Stream(name=name, kind="numbers", shape=shape, dtype=str(dtype), read=lambda: data[:])


def image_stream(
    name: str, data: Any, shape: tuple[int, ...], dtype: str, layout: ImageLayout, *, flipped: bool = False
) -> Stream:
    """The stream of an array of images that lie as `layout` says."""
    check_image(name, layout.height_px, layout.width_px)
    if flipped and not layout.flipped:
        layout = ImageLayout(**{**layout.__dict__, "flipped": True})
    return Stream(
        name=name,
        kind="depth" if layout.depth else "image",
        shape=shape,
        dtype=dtype,
        images=lambda length: (layout.convert(image) for image in image_slices(data, length)),
        size_px=(layout.height_px, layout.width_px),
    )


def video_stream(name: str, path: Path, frames: int, size_px: tuple[int, int]) -> Stream:
    """The stream of a video file, whose frames are the steps."""
    from storage.formats.video.reader import decoded

    return Stream(
        name=name,
        kind="video",
        shape=(frames, *size_px, 3),
        dtype="uint8",
        frames=lambda: (frame for _, frame in decoded(path)),
        size_px=size_px,
    )


def _plain(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.names is None


def _texts(values: Any) -> list[str]:
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _sample(data: Any) -> NDArray[Any]:
    """The first, middle and last image."""
    places = sorted({0, len(data) // 2, len(data) - 1})
    return np.stack([np.asarray(data[place]) for place in places]) if len(data) else np.empty(0)
