"""Bringing images to one size."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, UnknownNameError

RGB = NDArray[np.uint8]
"""An image of shape (H, W, 3)."""
Image = NDArray[Any]
"""An image of shape (H, W, 3), or a plane (H, W)."""

Fit = Literal["stretch", "pad", "crop"]


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

    def scaled_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width to scale a frame of that size to, before bars are added or edges cut."""
        height, width = self.size_of(height_px, width_px)
        if self.fit == "stretch":
            return height, width
        ratios = height / height_px, width / width_px
        scale = min(ratios) if self.fit == "pad" else max(ratios)
        return max(1, round(height_px * scale)), max(1, round(width_px * scale))

    def __call__(self, image: RGB) -> RGB:
        """`image` (H, W, 3) at the wanted size; one that is scaled already is only padded or cropped."""
        height, width = self.size_of(*image.shape[:2])
        if image.shape[:2] == (height, width):
            return image
        inner = scaled(image, self.scaled_size(*image.shape[:2]))
        if inner.shape[:2] == (height, width):
            return inner
        return _padded(inner, height, width) if self.fit == "pad" else _cropped(inner, height, width)


def scaled(image: Image, size_px: tuple[int, int], *, out: Image | None = None, nearest: bool = False) -> Image:
    """`image` (H, W) or (H, W, 3) at `size_px` (height, width), by area averaging where it gets smaller and bilinear
    where it grows; `nearest` for masks and depths, between which there is nothing to average. Into `out`, if given.

    Importing, training and labelling all resize by this one function, so a model labels what it was trained on.
    """
    if image.shape[:2] == tuple(size_px) and out is None:
        return image
    shrinks = size_px[0] * size_px[1] < image.shape[0] * image.shape[1]
    smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    way = cv2.INTER_NEAREST if nearest else smooth
    resized: Image = cv2.resize(np.ascontiguousarray(image), (size_px[1], size_px[0]), dst=out, interpolation=way)
    return resized


def _padded(image: RGB, height: int, width: int) -> RGB:
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


def _cropped(image: RGB, height: int, width: int) -> RGB:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])
