"""Images for the storage benchmarks: as hard to compress as camera frames, and cheap to make."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE_PX = 224


def camera_images(count: int, *, seed: int) -> Iterator[NDArray[np.uint8]]:
    """`count` frames (224, 224, 3) of a textured ground that pans by under moving discs, with sensor noise. A frame
    takes about 19 KiB as JPEG of quality 90, somewhat more than those of real cameras."""
    random = np.random.default_rng(seed)
    ground = _texture(random, SIZE_PX * 2)
    noise = random.normal(scale=2.0, size=(8, SIZE_PX, SIZE_PX, 3)).astype(np.float32)
    discs = random.uniform(0, SIZE_PX, (5, 2)), random.normal(scale=2.0, size=(5, 2)), random.uniform(0, 255, (5, 3))
    for step in range(count):
        shift = (step * 3) % SIZE_PX
        image = ground[shift : shift + SIZE_PX, :SIZE_PX].copy()
        for centre, speed, colour in zip(*discs, strict=True):
            at = ((centre + step * speed) % SIZE_PX).astype(int).tolist()
            cv2.circle(image, at, 24, colour.tolist(), -1)
        yield np.clip(image + noise[step % 8], 0, 255).astype(np.uint8)


def _texture(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Noise at several scales, like wood, cloth or stone."""
    total = np.zeros((size, size, 3), dtype=np.float32)
    for cells, strength in ((6, 90.0), (24, 50.0), (96, 30.0), (192, 14.0)):
        grid = random.normal(size=(cells, cells, 3)).astype(np.float32)
        total += strength * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 128, 0, 255)
