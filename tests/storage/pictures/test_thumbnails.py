"""Thumbnails of many frames at once are those of one frame at a time."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from storage.pictures.frame_checks import FrameScan

SIZES = ((128, 128), (96, 96), (101, 77), (240, 320), (36, 48), (37, 49), (20, 30), (16, 16), (60, 40))


def grey_alone(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (48, 36), interpolation=cv2.INTER_AREA)
    return grey.astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_a_block_of_frames_gives_what_each_frame_gives(size: tuple[int, int]) -> None:
    images = np.random.default_rng(sum(size)).integers(0, 256, (50, *size, 3), dtype=np.uint8)
    whole, alone = FrameScan(50), FrameScan(50)
    whole.add(images)
    for image in images:
        alone.add(image[None])
    together, one_by_one = whole.check(), alone.check()
    assert np.array_equal(together.grey, np.stack([grey_alone(image) for image in images]))
    assert np.array_equal(together.grey, one_by_one.grey)
    assert np.array_equal(together.cut, one_by_one.cut)
    assert np.array_equal(together.dark, one_by_one.dark)


def test_small_thumbnails_are_means_of_four_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 72, 96, 3), dtype=np.uint8)
    scan = FrameScan(5)
    scan.add(images)
    check = scan.check()
    means = check.grey.reshape(5, 18, 2, 24, 2).mean(axis=(2, 4), dtype=np.float32)
    assert np.array_equal(check.thumbnails(), means)
