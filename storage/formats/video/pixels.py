"""Pixels of decoded frames: to RGB without a colour bias, upright, and at the wanted size.

libswscale's default conversion from YUV to RGB truncates and darkens every channel by about one level (and full-range
colour by more); over import, export and import again that adds up. OpenCV rounds. The common case (4:2:0, BT.601,
limited range) has a routine of its own there; the others go through their matrix. What becomes JPEG at its own size
skips RGB: JPEG holds the same planes in another range.
"""

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from storage.pictures.resizing import RGB, Resize

# ISO/IEC 23091-2 code of the matrix -> its weights of red and blue. 0 and 2 say nothing; decoders take them for BT.601.
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_FULL_RANGE = 2
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
_EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_CODES = np.arange(256)
_LUMA = np.clip(np.rint((_CODES - 16) * 255 / 219), 0, 255).astype(np.uint8)
_CHROMA = np.clip(np.rint((_CODES - 128) * 255 / 224 + 128), 0, 255).astype(np.uint8)
_AREA = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_AS_IT_IS = Resize()


def to_rgb(frame: av.VideoFrame, resize: Resize = _AS_IT_IS) -> RGB:
    """(H, W, 3) uint8 of a decoded frame: turned upright where the file says that it lies on its side, and resized."""
    turns = quarter_turns(frame)
    lying = turns % 2 == 1
    height, width = resize.scaled_size(*((frame.width, frame.height) if lying else (frame.height, frame.width)))
    image = _rgb(frame, (width, height) if lying else (height, width))
    return resize(np.ascontiguousarray(np.rot90(image, turns)) if turns else image)


def jpeg_planes(frame: av.VideoFrame) -> tuple[NDArray[np.uint8], ...] | None:
    """Luma and chroma of a plain upright frame in JPEG's range, which is that of its pixels (BT.601, 4:2:0): only the
    range changes. None for any other frame, which goes through RGB."""
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    if frame.format.name not in ("yuv420p", "yuvj420p") or not even or quarter_turns(frame):
        return None
    if _WEIGHTS.get(frame.colorspace, _BT601) != _BT601:
        return None
    planes = [_plane_as_it_is(frame, index) for index in range(3)]
    if frame.color_range == _FULL_RANGE or frame.format.name == "yuvj420p":
        return tuple(np.ascontiguousarray(plane) for plane in planes)
    return tuple(cv2.LUT(plane, table) for plane, table in zip(planes, (_LUMA, _CHROMA, _CHROMA), strict=True))


def _rgb(frame: av.VideoFrame, size_px: tuple[int, int]) -> RGB:
    """RGB of a frame. Where the frame is plain and larger than `size_px` it is scaled on the way, which is cheaper."""
    if frame.format.is_rgb or frame.format.name.startswith("gray"):
        straight: RGB = frame.to_ndarray(format="rgb24", interpolation=_EXACT, threads=1)
        return straight
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    weights = _WEIGHTS.get(frame.colorspace, _BT601)
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    if frame.format.name == "yuv420p" and even and not full and weights == _BT601:
        height, width = size_px
        if height <= frame.height and width <= frame.width and size_px != (frame.height, frame.width):
            smaller: RGB = frame.to_ndarray(
                format="rgb24", height=height, width=width, interpolation=_AREA, src_colorspace="ITU601", threads=1
            )
            return smaller
        return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420))
    if frame.format.name not in _PLANAR:
        # More bits, or planes woven together: to plain planes of the same matrix and range first.
        kept = frame.color_range
        frame = frame.reformat(format="yuv444p", interpolation=_EXACT, src_color_range=kept, dst_color_range=kept)
    planes = [_plane(frame, index) for index in range(3)]
    return np.asarray(cv2.transform(cv2.merge(planes), _matrix(weights, full=full)))


def _plane(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    """A plane at the size of the frame; colour is repeated where it has fewer samples."""
    plane, rows = frame.planes[index], _plane_as_it_is(frame, index)
    if rows.shape == (frame.height, frame.width):
        return rows
    across, down = -(-frame.width // plane.width), -(-frame.height // plane.height)
    return rows.repeat(down, axis=0).repeat(across, axis=1)[: frame.height, : frame.width]


def _plane_as_it_is(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    plane = frame.planes[index]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _matrix(weights: tuple[float, float], *, full: bool) -> NDArray[np.float64]:
    """(3, 4): red, green, blue from Y, Cb, Cr and 1, all in 0..255 (ITU-R BT.601 section 2.5, BT.709 section 3)."""
    red, blue = weights
    green = 1 - red - blue
    light, colour = (1.0, 1.0) if full else (255 / 219, 255 / 224)
    by_cr, by_cb = 2 * (1 - red) * colour, 2 * (1 - blue) * colour
    rows = np.array([[light, 0, by_cr], [light, -blue / green * by_cb, -red / green * by_cr], [light, by_cb, 0]])
    zero = np.array([0.0 if full else 16.0, 128.0, 128.0])
    return np.column_stack([rows, -rows @ zero])


def quarter_turns(frame: av.VideoFrame) -> int:
    """Quarter turns counter-clockwise that bring a frame upright, 0 to 3; phones write them into the file."""
    turns: int = round(frame.rotation / 90) % 4
    return turns


def from_rgb(image: RGB, pixel_format: str) -> av.VideoFrame:
    """A frame for an encoder, BT.601 and limited range, from (H, W, 3) uint8."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
    return frame.reformat(format=pixel_format, interpolation=exact, dst_colorspace="ITU601", threads=1)
