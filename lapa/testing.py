"""Tiny clips with known motion, for tests of latent actions and of what is built on them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.fit import FitConfig
from lapa.fitting.batches import BatchConfig
from lapa.fitting.clips import ClipConfig, LapaClip, read_clip
from lapa.fitting.fit import LapaFit, LapaFitConfig, fit
from lapa.fitting.frame_pairs import FramePairConfig
from lapa.network.augment import AugmentConfig
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.frames import Frames
from storage.pictures.frame_checks import FrameCheckConfig
from storage.testing import write_unit
from storage.training_reader.training_data import TrainingData

SIZE_PX = (32, 32)
CONFIG = ClipConfig(
    windows=FramePairConfig(robot_s=0.25, slow_s=0.25), cuts=FrameCheckConfig(camera_share=0.0, still_jump=0.25)
)
"""Windows of five steps at 20 Hz. The square is large and its ground plain: a camera that moves cannot be told."""


def moving_episode(seed: int, *, steps: int = 40, embodiment: str = "so_arm", episode_id: str = "") -> Episode:
    """A bright square over a gradient that steers towards one goal after the other.

    The first two joints of the state are where it is, so that what moves in the picture is what moves in the state.
    """
    random = np.random.default_rng([seed, 11])
    path = _path(random, steps)
    images = [_image(place, colour=60 + 40 * (seed % 3)) for place in path]
    state = np.zeros((steps, 6), np.float32)
    state[:, :2] = path
    return Episode(
        episode_id=episode_id or f"moving-{embodiment}-{seed}",
        layer="simulation",
        embodiment=embodiment,
        length=steps,
        rate_hz=20.0,
        cameras={"front": Frames.encode(images, "lossless")},
        arrays={"state": state},
    )


def moving_clips(seeds: range, *, config: ClipConfig = CONFIG, size_px: tuple[int, int] = SIZE_PX) -> list[LapaClip]:
    """Clips of `moving_episode`."""
    return [read_clip(moving_episode(seed), size_px, config) for seed in seeds]


def moving_dataset(root: Path, *, episodes: int = 6, steps: int = 40) -> Dataset:
    """A data set of moving episodes in one unit."""
    return dataset_of(root, [moving_episode(seed, steps=steps) for seed in range(episodes)])


def dataset_of(root: Path, episodes: Sequence[Episode]) -> Dataset:
    """A data set of `episodes` in one unit."""
    Dataset.create(root, name="moving")
    write_unit(root, episodes)
    return Dataset.open(root)


def _path(random: np.random.Generator, steps: int) -> NDArray[np.float64]:
    """Places (steps, 2) within 0.15..0.85 of the picture."""
    place, path = random.uniform(0.2, 0.8, 2), []
    goal = place
    for step in range(steps):
        if step % 10 == 0:
            goal = random.uniform(0.15, 0.85, 2)
        place = place + 0.15 * (goal - place)
        path.append(place)
    return np.stack(path)


def _image(place: NDArray[np.float64], *, colour: int, size_px: int = 32) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:size_px, 0:size_px]
    image = np.stack([rows * 3, columns * 3, np.full_like(rows, colour)], axis=-1).astype(np.float64)
    # Soft edges, so that motion of less than a pixel can be seen.
    near = np.maximum(np.abs(rows - place[0] * size_px), np.abs(columns - place[1] * size_px))
    inside = np.clip(4.5 - near, 0, 1)[..., None]
    blended: NDArray[np.uint8] = (image * (1 - inside) + 240 * inside).round().astype(np.uint8)
    return blended


def tiny_fit_config(*, steps: int = 240, **changes: Any) -> LapaFitConfig:
    """A fit of the tiny preset to moving squares that takes seconds."""
    config = LapaFitConfig.of_preset(
        "tiny",
        clips=CONFIG,
        batches=BatchConfig(batch=24),
        augment=AugmentConfig(shift=0, zoom=0, brightness=0, contrast=0),
        training=FitConfig(steps=steps, learning_rate=4e-3, betas=(0.9, 0.99), weight_decay=1e-2),
    )
    return replace(config, **changes)


def fit_tiny(folder: Path, config: LapaFitConfig | None = None) -> LapaFit:
    """A tiny model fitted to moving squares; with the default config it passes its gates."""
    root = folder.with_name(f"{folder.name}-data")
    dataset = Dataset.open(root) if root.exists() else moving_dataset(root, episodes=36)
    data = TrainingData(dataset=dataset, action="", held_out_share=6 / 36)
    return fit([data], config or tiny_fit_config(), folder)
