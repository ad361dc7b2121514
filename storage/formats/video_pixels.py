"""Pixels of decoded frames: to RGB without a colour bias, upright, and at the wanted size.

libswscale's default conversion from YUV to RGB truncates and darkens every channel by about one level; over import,
export and import again that adds up. The common case (4:2:0, BT.601, limited range) goes through OpenCV, which rounds
and is as fast; everything else through libswscale's exact path.
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

_EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# ISO/IEC 23091-2 matrix coefficients: 2 is unspecified, which decoders take for BT.601; 5 and 6 are BT.601.
_BT601 = (0, 2, 5, 6)
_FULL_RANGE = 2


def to_rgb(frame: av.VideoFrame) -> RGB:
    """(H, W, 3) uint8 of a decoded frame, turned upright where the file says that it lies on its side."""
    simple = frame.format.name == "yuv420p" and frame.colorspace in _BT601 and frame.color_range != _FULL_RANGE
    if simple and frame.width % 2 == 0 and frame.height % 2 == 0:
        image = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
    else:
        image = frame.to_ndarray(format="rgb24", interpolation=_EXACT, src_color_range=frame.color_range, threads=1)
    turns = quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


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
