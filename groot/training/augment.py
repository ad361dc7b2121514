"""Random changes of what a policy sees while it learns, all from one generator, so that a batch is reproducible."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Pictures move by up to `shift_share` of their size, edges repeated; their brightness and contrast change by up to
    `brightness` and `contrast`; noise of `state_noise` (1: half of the normalised range) is added to the state."""

    shift_share: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    state_noise: float = 0.0

    def __post_init__(self) -> None:
        values = (self.shift_share, self.brightness, self.contrast, self.state_noise)
        if not all(0 <= value < 1 for value in values):
            raise ConfigError(f"settings of the augmentation must be in [0, 1); got {self}")


def augmented_images(
    images: NDArray[np.uint8], config: AugmentConfig, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """`images` (B, V, H, W, 3) uint8, each picture changed by itself; and by how much of its size (x, y) what is in the
    first view has moved, (B, 2)."""
    shifted, moved = images, np.zeros((len(images), 2), np.float32)
    if config.shift_share:
        shifted, moved = _shifted(images, config.shift_share, random)
    if not (config.brightness or config.contrast):
        return shifted, moved
    shape = (*images.shape[:2], 1, 1, 1)
    gain = 1 + config.contrast * random.uniform(-1, 1, shape).astype(np.float32)
    offset = 255 * config.brightness * random.uniform(-1, 1, shape).astype(np.float32)
    lit = (shifted.astype(np.float32) - 127.5) * gain + 127.5 + offset
    clipped: NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return clipped, moved


def _shifted(
    images: NDArray[np.uint8], share: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    height, width = images.shape[2:4]
    reach = (max(1, round(height * share)), max(1, round(width * share)))
    rows = random.integers(2 * reach[0] + 1, size=images.shape[:2])
    columns = random.integers(2 * reach[1] + 1, size=images.shape[:2])
    pads: Any = ((0, 0), (0, 0), (reach[0], reach[0]), (reach[1], reach[1]), (0, 0))
    padded = np.pad(images, pads, mode="edge")
    moved = np.empty_like(images)
    for sample in range(images.shape[0]):
        for view in range(images.shape[1]):
            row, column = rows[sample, view], columns[sample, view]
            moved[sample, view] = padded[sample, view, row : row + height, column : column + width]
    first = np.stack([reach[1] - columns[:, 0], reach[0] - rows[:, 0]], axis=1) / (width, height)
    return moved, first.astype(np.float32)
