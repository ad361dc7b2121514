"""Counterfactual pairs: one scene, two instructions, and what truly becomes of it under each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.neural.clips import CAMERA, SHAPE
from generators.neural.clip_shape import cut_clip
from storage.datasets.dataset import Dataset
from storage.embodiment import PANDA
from storage.episode import Episode
from storage.ids import Randomness, content_id
from storage.outcomes import Kept
from storage.testing import write_unit

TASKS = ("stack", "stack_green_on_red")
SEED = 13


class SceneRandomness(Randomness):
    """Equal numbers for an attempt of either task, so that both begin in the same scene."""

    def seed_of(self, name: str) -> int:
        return super().seed_of(name.partition("/")[2])


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The episode of each task from one scene, in the order of `TASKS`."""

    episodes: tuple[Episode, Episode]

    @property
    def outcomes(self) -> Sequence[NDArray[Any]]:
        """The last frame of each episode's clip."""
        return [cut_clip(episode, CAMERA, SHAPE)[-1].astype(np.float64) for episode in self.episodes]


def counterfactual_pairs(work: Path, count: int) -> list[Pair]:
    """Pairs of held-out scenes in which both tasks succeed, simulated now unless they are in `work`."""
    root = work / f"pairs-{SEED}-{count}"
    if not (root / "index").exists():
        _simulate(root, count)
    episodes = list(Dataset.open(root).episodes())
    by_number: dict[int, dict[str, Episode]] = {}
    for episode in episodes:
        made = episode.provenance["generation"]
        by_number.setdefault(int(made["attempt"]), {})[str(made["task"])] = episode
    pairs = [(both[TASKS[0]], both[TASKS[1]]) for both in by_number.values() if len(both) == len(TASKS)]
    return [Pair(episodes=pair) for pair in pairs]


def _simulate(root: Path, count: int) -> None:
    from generators.simulation.multiply import Multiply
    from generators.simulation.multiply_config import MultiplyConfig

    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    Dataset.create(root, name=root.name).declare(PANDA)
    stages = [Multiply(MultiplyConfig(task=task, cameras=(CAMERA,), size_px=128)) for task in TASKS]
    randomness = SceneRandomness(SEED, "pairs")
    by_task: list[list[Episode]] = [[] for _ in TASKS]
    number = 0
    while len(by_task[0]) < count:
        outcomes = [stage([{"first_attempt": number}], randomness)[0][0] for stage in stages]
        number += 1
        kept = [outcome.episode for outcome in outcomes if isinstance(outcome, Kept)]
        if len(kept) == len(TASKS):
            first = [episode.cameras[CAMERA].decode([0])[0].astype(int) for episode in kept]
            assert np.abs(first[0] - first[1]).mean() < 1, "two tasks of one scene begin alike"
            for episodes, episode in zip(by_task, kept, strict=True):
                episodes.append(episode)
    for task, episodes in zip(TASKS, by_task, strict=True):
        write_unit(root, episodes, unit_id=content_id("pairs", SEED, count, task))
    Dataset.open(root).compact()
