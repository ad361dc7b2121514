"""Pixels of decoded frames: to RGB without a colour bias, upright, and at the wanted size.

libswscale's default conversion from YUV to RGB truncates and darkens every channel by about one level (and full-range
colour by more); over import, export and import again that adds up. OpenCV rounds. The common case (4:2:0, BT.601,
limited range) has a routine of its own there, as fast as libswscale's; the others go through their matrix.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from storage.errors import ConfigError, UnknownNameError

RGB = NDArray[np.uint8]
Fit = Literal["stretch", "pad", "crop"]

# ISO/IEC 23091-2 code of the matrix -> its weights of red and blue. 0 and 2 say nothing; decoders take them for BT.601.
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_FULL_RANGE = 2
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
_EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def to_rgb(frame: av.VideoFrame) -> RGB:
    """(H, W, 3) uint8 of a decoded frame, turned upright where the file says that it lies on its side."""
    turns = quarter_turns(frame)
    image = _upright_rgb(frame)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _upright_rgb(frame: av.VideoFrame) -> RGB:
    if frame.format.is_rgb or frame.format.name.startswith("gray"):
        straight: RGB = frame.to_ndarray(format="rgb24", interpolation=_EXACT, threads=1)
        return straight
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    weights = _WEIGHTS.get(frame.colorspace, _BT601)
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    if frame.format.name == "yuv420p" and even and not full and weights == _BT601:
        return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420))
    if frame.format.name not in _PLANAR:
        # More bits, or planes woven together: to plain planes of the same matrix and range first.
        kept = frame.color_range
        frame = frame.reformat(format="yuv444p", interpolation=_EXACT, src_color_range=kept, dst_color_range=kept)
    planes = [_plane(frame, index) for index in range(3)]
    return np.asarray(cv2.transform(cv2.merge(planes), _matrix(weights, full=full)))


def _plane(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    """A plane at the size of the frame; colour is repeated where it has fewer samples."""
    plane = frame.planes[index]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    if rows.shape == (frame.height, frame.width):
        return rows
    across, down = -(-frame.width // plane.width), -(-frame.height // plane.height)
    return rows.repeat(down, axis=0).repeat(across, axis=1)[: frame.height, : frame.width]


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


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Brings every frame to `size_px` = (height, width) by area averaging (bilinear where it grows).

    `fit` says what happens to another aspect ratio: "stretch" distorts, "pad" adds black bars, "crop" cuts the edges.
    `size_px` None leaves every frame as it is.
    """

    size_px: tuple[int, int] | None = None
    fit: Fit = "stretch"

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise UnknownNameError.among("fit", self.fit, get_args(Fit))
        if self.size_px is not None and (len(self.size_px) != 2 or min(self.size_px) < 1):
            raise ConfigError(f"size_px is (height, width) in pixels, at least 1 each; got {self.size_px}")

    def size_of(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width of what comes out for a frame of that size."""
        return (height_px, width_px) if self.size_px is None else (int(self.size_px[0]), int(self.size_px[1]))

    def __call__(self, image: RGB) -> RGB:
        height, width = self.size_of(*image.shape[:2])
        if image.shape[:2] == (height, width):
            return image
        if self.fit == "stretch":
            return _scaled(image, height, width)
        ratios = height / image.shape[0], width / image.shape[1]
        scale = min(ratios) if self.fit == "pad" else max(ratios)
        inner = _scaled(image, max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
        return _padded(inner, height, width) if self.fit == "pad" else _cropped(inner, height, width)


def _scaled(image: RGB, height: int, width: int) -> RGB:
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    scaled: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return scaled  # type: ignore[no-any-return]


def _padded(image: RGB, height: int, width: int) -> RGB:
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


def _cropped(image: RGB, height: int, width: int) -> RGB:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])
