"""Tiny videos for tests of human video: textured scenes that a camera can be tracked in, with numbers burnt in."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.formats.human_video.list_segments import ListingConfig, list_segments
from storage.formats.human_video.segment_item import SegmentItem

NUMBER_BITS = 14
HEIGHT_PX, WIDTH_PX = 96, 128


def textured(seed: int, *, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> NDArray[np.uint8]:
    """A still scene with corners everywhere, (H, W, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(20, 235, (max(2, height_px // 12), max(2, width_px // 12), 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_NEAREST), np.uint8)


def numbered_scene(
    count: int, *, seed: int = 0, first: int = 0, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> NDArray[np.uint8]:
    """`count` frames (T, H, W, 3) of a scene in front of which a disc moves, each with its number burnt in."""
    scene = textured(seed, height_px=height_px, width_px=width_px)
    images = np.repeat(scene[None], count, axis=0).copy()
    for place in range(count):
        turn = 2 * np.pi * (first + place) / 23 + seed
        centre = (int(width_px * (0.5 + 0.3 * np.cos(turn))), int(height_px * (0.6 + 0.2 * np.sin(turn))))
        cv2.circle(images[place], centre, height_px // 8, (250, 245, 230), -1)
        burn_number(images[place], first + place)
    return images


def burn_number(image: NDArray[np.uint8], number: int) -> None:
    """Write `number` into the top edge of `image`, in place: one dark or light block a bit, least first. The edge is
    small, so that no number looks like a cut."""
    height, width = image.shape[:2]
    for bit in range(NUMBER_BITS):
        left, right = width * bit // NUMBER_BITS, width * (bit + 1) // NUMBER_BITS
        image[: height // 16, left:right] = 192 if number >> bit & 1 else 64


def read_number(image: NDArray[Any]) -> int:
    """The number that was burnt into `image`, also after a codec and another size."""
    height, width = image.shape[:2]
    edge = image[height // 64 : height // 20].mean(axis=(0, 2))
    centres = [round(width * (bit + 0.5) / NUMBER_BITS) for bit in range(NUMBER_BITS)]
    return sum(1 << bit for bit, centre in enumerate(centres) if edge[centre] > 127)


def segments(path: Any, **settings: Any) -> list[SegmentItem]:
    """Every segment of a source, in order."""
    units = list_segments(ListingConfig(path=str(path), **settings))
    return [SegmentItem.from_json(item) for unit in units for item in unit]


def items_of(path: Any, **settings: Any) -> list[Mapping[str, Any]]:
    """The same as JSON items."""
    return [item.to_json() for item in segments(path, **settings)]
