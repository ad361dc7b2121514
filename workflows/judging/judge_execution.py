"""The stage `judge_execution`: the judge of `judges.execution` with this project's simulator as the player."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.execution import ExecutionConfig, JudgeExecution, Played
from storage.datasets.dataset import Dataset
from storage.embodiment import embodiment_named
from storage.episode import Episode
from storage.errors import MissingFileError
from storage.ids import Randomness
from storage.outcomes import Outcome
from workflows.models.replay_actions import Replayer, playable, was_simulated


class PlayedFromTruth:
    """Plays labels from the state in which an episode, or the parent whose first frame it began with, was simulated.

    `roots` are the data sets in which parents are looked for. Labels of a clip at another rate than the robot's are
    played over the same time: deltas in equal parts, the rest held.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        self._replayer = Replayer()

    def __call__(self, episode: Episode, actions: NDArray[Any], valid: NDArray[np.bool_]) -> Played | None:
        truth = self._truth(episode)
        if truth is None:
            return None
        true_actions = truth.arrays["action/ground_truth"]
        layout = embodiment_named(truth.embodiment).action
        if not actions.shape[1] == true_actions.shape[1] == layout.size or not valid.any():
            return None
        result = self._replayer(
            truth, playable(actions, valid, layout, rate_hz=episode.rate_hz, control_hz=truth.rate_hz)
        )
        if truth is not episode:
            return Played(succeeded=result.succeeded, touched=result.touched)
        true = self._replayer(truth, true_actions).path
        steps = min(len(true), len(result.path))
        apart = np.linalg.norm((true[:steps] - result.path[:steps]).reshape(steps, -1, 3), axis=2).mean(axis=1)
        drift = {"drift_m": float(apart.mean()), "final_drift_m": float(apart[-1])}
        return Played(succeeded=result.succeeded, touched=result.touched, **drift)

    def _truth(self, episode: Episode) -> Episode | None:
        """The simulated episode that this one begins like; None where no data set has it."""
        if was_simulated(episode):
            return episode
        began = int(episode.provenance.get("neural", {}).get("first_frame", {}).get("step", 0))
        if not episode.parent_id or began != 0:
            return None
        for dataset in self._datasets:
            if episode.parent_id in dataset.index.row_of_episode:
                parent = dataset.episode(episode.parent_id)
                return parent if was_simulated(parent) else None
        return None

    @cached_property
    def _datasets(self) -> list[Dataset]:
        return [Dataset.open(root) for root in self._roots if (root / "dataset.json").is_file()]


class PlayAndJudge:
    """The stage."""

    def __init__(self, config: ExecutionConfig) -> None:
        missing = [name for name in config.parents if not (Path(name) / "dataset.json").is_file()]
        if missing:
            raise MissingFileError(f"no data set in {', '.join(missing)}, where the settings name `parents` of clips")
        roots = [Path(config.dataset), *map(Path, config.parents)]
        self._judge = JudgeExecution(config, PlayedFromTruth(roots))

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return self._judge(episodes, randomness)
