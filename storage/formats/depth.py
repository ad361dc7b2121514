"""Depth cameras: 16 bits a pixel, kept as they are, from PNG or TIFF and from the grey video of LeRobot 0.6.

LeRobot's depth video holds 12-bit codes on a logarithmic scale; with the parameters that its metadata give they become
millimetres. Without parameters the numbers are kept as recorded.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptFileError
from storage.formats.untrusted.pictures import decode_as_it_is
from storage.frames import Frames
from storage.pictures.resizing import Resize

Depth = NDArray[np.uint16]
_CODES = 4095
_SCALE = (("video.depth_min", None), ("video.depth_max", None), ("video.shift", 0.0))
GREY_FORMATS = frozenset(
    {"gray10le", "gray12le", "gray14le", "gray16le", "gray10be", "gray12be", "gray14be", "gray16be"}
)


def is_depth(feature: Mapping[str, Any]) -> bool:
    """Whether a feature of LeRobot's info.json is a depth map, by any of the marks that its versions use."""
    for about in (feature.get("info"), feature.get("video_info"), feature):
        if isinstance(about, Mapping) and (about.get("is_depth_map") or about.get("video.is_depth_map")):
            return True
    return False


def encode_depth(images: Iterable[Depth], resize: Resize) -> Frames:
    """Depth images (H, W) uint16, one a step, at the wanted size; no value is averaged with its neighbours."""
    return Frames.encode((_resized(image, resize) for image in images), "depth")


def depth_from_bytes(where: str, content: bytes) -> Depth:
    """(H, W) uint16 of an encoded image of one plane; raises CorruptFileError."""
    return as_depth(where, decode_as_it_is(where, content))


def as_depth(where: str, image: Any) -> Depth:
    """`image` as (H, W) uint16; raises CorruptFileError for colour and for fractions."""
    plane = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if plane.ndim != 2 or plane.dtype not in (np.uint8, np.uint16):
        raise CorruptFileError(f"{where}: depth is one plane of 8 or 16 bits; got {image.dtype} of shape {image.shape}")
    return np.ascontiguousarray(plane, np.uint16)


def depth_frames(where: str, frames: Iterable[av.VideoFrame], feature: Mapping[str, Any]) -> Iterator[Depth]:
    """The depth images of a grey video of 10 to 16 bits, in millimetres where `feature` gives its scale."""
    to_mm = _scale(feature)
    for frame in frames:
        if frame.format.name not in GREY_FORMATS:
            raise CorruptFileError(
                f"{where} holds depth as {frame.format.name}; only grey of 10 to 16 bits keeps its values"
            )
        plane = frame.planes[0]
        kind = ">u2" if frame.format.name.endswith("be") else "<u2"
        rows = np.frombuffer(plane, kind)[: frame.height * (plane.line_size // 2)]
        codes = rows.reshape(frame.height, -1)[:, : frame.width].astype(np.uint16)
        yield codes if to_mm is None else to_mm[np.minimum(codes, _CODES)]


def _scale(feature: Mapping[str, Any]) -> Depth | None:
    """Millimetres of each code: lerobot 0.6, configs/video.py: codes are logarithms of metres plus a shift."""
    about = {**(feature.get("video_info") or {}), **(feature.get("info") or {})}
    given = [about.get(name, default) for name, default in _SCALE]
    if not all(isinstance(value, int | float) for value in given):
        return None
    low, high, shift = (float(value) for value in given if value is not None)
    share = np.arange(_CODES + 1) / _CODES
    if not about.get("video.use_log", True):
        metres = low + share * (high - low)
    elif low + shift <= 0 or high <= low:
        return None
    else:
        ends = np.log([low + shift, high + shift])
        metres = np.exp(ends[0] + share * (ends[1] - ends[0])) - shift
    millimetres: Depth = np.clip(np.rint(metres * 1000), 0, 65535).astype(np.uint16)
    return millimetres


def _resized(image: Depth, resize: Resize) -> Depth:
    height, width = resize.size_of(*image.shape)
    if image.shape == (height, width):
        return image
    inner_height, inner_width = resize.scaled_size(*image.shape)
    inner = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_NEAREST)
    out = np.zeros((height, width), np.uint16)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    if resize.fit == "pad":
        out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return out
    return np.ascontiguousarray(inner[-top : -top + height or None, -left : -left + width or None], np.uint16)
