"""Clips for the image-to-video starter: the Panda's tasks rendered by this project's own generator, one data set each.

python -m benchmarks.neural.clips WORK TASK [PLACEMENT [EPISODES [SEED]]]
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.neural.clip_shape import ClipShape, cut_clip
from storage.datasets.dataset import Dataset

TRAINING_SEED, HELD_OUT_SEED = 11, 12
CAMERA = "agentview"
SHAPE = ClipShape(frames=21, height_px=64, width_px=64, rate_hz=5.0)
"""4 s: a whole Lift. At 5 Hz two frames lie the 0.2 s apart that the starter labeller reads."""


def clips_of(
    work: Path, task: str, *, placement: str = "D0", episodes: int = 300, seed: int = TRAINING_SEED
) -> Dataset:
    """The data set of `task`, generated now unless it is in `work`. 128 x 128 pixels, agentview, 20 Hz."""
    from benchmarks.idm.panda_clips import Clips, panda_dataset

    clips = Clips(episodes=episodes, seed=seed, tasks=(task,), placement=placement)
    return panda_dataset(work / f"{task}-{placement}-{seed}", clips)


def every_frame(dataset: Dataset, *, stride: int) -> list[NDArray[np.uint8]]:
    """Every `stride`-th frame of each episode at the starter's size, (T, H, W, 3) each."""
    pictures = []
    for episode in dataset.episodes():
        frames = 1 + (episode.length - 1) // stride
        shape = ClipShape(
            frames=frames, height_px=SHAPE.height_px, width_px=SHAPE.width_px, rate_hz=episode.rate_hz / stride
        )
        pictures.append(cut_clip(episode, CAMERA, shape))
    return pictures


def background_of(clips: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """What the still camera sees without robot and things: the median picture (H, W, 3)."""
    pictures = np.concatenate([clip[:: max(len(clip) // 4, 1)] for clip in clips])
    middle: NDArray[np.uint8] = np.median(pictures[:1000], axis=0).astype(np.uint8)
    return middle


def main() -> None:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    work, task, *more = sys.argv[1:]
    placement, episodes, seed = (*more, *("D0", "300", str(TRAINING_SEED))[len(more) :])
    clips_of(Path(work), task, placement=placement, episodes=int(episodes), seed=int(seed))


if __name__ == "__main__":
    main()
