"""The stage `judge_execution`: the judge of `judges.execution` with this project's simulator as the player."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.execution import ExecutionConfig, JudgeExecution, Played
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.ids import Randomness
from storage.outcomes import Outcome
from workflows.models.replay_actions import Replayer, was_simulated


class PlayedFromTruth:
    """Plays labels from the state in which an episode, or the parent whose first frame it began with, was simulated.

    A clip of another rate than its simulation's is not played: its labels are steps of another length.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._dataset: Dataset | None = None
        self._replayer = Replayer()

    def __call__(self, episode: Episode, actions: NDArray[Any]) -> Played | None:
        truth = self._truth(episode)
        if truth is None or abs(truth.rate_hz - episode.rate_hz) > 0.02 * truth.rate_hz:
            return None
        if actions.shape[1] != truth.arrays["action/ground_truth"].shape[1]:
            return None
        result = self._replayer(truth, actions)
        if truth is not episode:
            return Played(succeeded=result.succeeded)
        true = self._replayer(truth, truth.arrays["action/ground_truth"]).path
        steps = min(len(true), len(result.path))
        apart = np.linalg.norm((true[:steps] - result.path[:steps]).reshape(steps, -1, 3), axis=2).mean(axis=1)
        return Played(succeeded=result.succeeded, drift_m=float(apart.mean()), final_drift_m=float(apart[-1]))

    def _truth(self, episode: Episode) -> Episode | None:
        """The simulated episode that this one begins like; None where there is none in the data set."""
        if was_simulated(episode):
            return episode
        if not episode.parent_id or not (self._root / "dataset.json").is_file():
            return None
        if self._dataset is None:
            self._dataset = Dataset.open(self._root)
        if episode.parent_id not in self._dataset.index.row_of_episode:
            return None
        parent = self._dataset.episode(episode.parent_id)
        began = int(episode.provenance.get("neural", {}).get("first_frame", {}).get("step", 0))
        return replace(parent) if was_simulated(parent) and began == 0 else None


class PlayAndJudge:
    """The stage."""

    def __init__(self, config: ExecutionConfig) -> None:
        self._judge = JudgeExecution(config, PlayedFromTruth(Path(config.dataset)))

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return self._judge(episodes, randomness)
