"""A policy that plays back the actions of a data set: the cheapest test of an export, a server and a simulator."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.serving.observation import Observation, PolicyInfo
from storage.datasets.dataset import Dataset
from storage.embodiment import embodiment_named
from storage.errors import ConfigError, InputError


class ReplayPolicy:
    """Gives the recorded actions from the present step of an episode on, `horizon` of them, padded with the last one,
    then moves on by `execution_horizon`. `reset` chooses episode and step, as Isaac-GR00T's ReplayPolicy does."""

    def __init__(
        self, dataset: Path, *, action: str = "action/ground_truth", horizon: int = 16, execution_horizon: int = 8
    ) -> None:
        if horizon < 1 or not 1 <= execution_horizon <= horizon:
            raise ConfigError(f"replay wants 1 <= execution_horizon <= horizon; got {execution_horizon} and {horizon}")
        self._dataset, self._action = Dataset.open(dataset), action
        self._episodes = [
            row
            for row, unit in enumerate(self._dataset.index.unit_of_row)
            if action in self._dataset.arrays(self._dataset.index.units[unit])
        ]
        if not self._episodes:
            raise ConfigError(f"no episode of {dataset} has {action} to replay")
        self._executed = execution_horizon
        self._horizon = horizon
        self.reset()

    def reset(self, episode_index: int = 0, step_index: int = 0, **_: Any) -> dict[str, int]:
        """Begin at a step of an episode; raises InputError where there is none."""
        if not 0 <= episode_index < len(self._episodes):
            raise InputError(f"episodes are numbered 0..{len(self._episodes) - 1}; got {episode_index}")
        names = self._dataset.index.table["episode_id"]
        episode = self._dataset.episode(str(names[self._episodes[episode_index]].as_py()))
        if not 0 <= step_index < episode.length:
            raise InputError(f"steps of episode {episode_index} are 0..{episode.length - 1}; got {step_index}")
        self._rows: NDArray[Any] = np.asarray(episode.arrays[self._action])
        self._episode, self._step = episode_index, step_index
        layout = embodiment_named(episode.embodiment).action
        whole = layout.size == self._rows.shape[1]
        self._spans = layout.slices() if whole else {"action": slice(None)}
        sizes = {part.name: part.size for part, _ in layout} if whole else {"action": self._rows.shape[1]}
        self.info = PolicyInfo(
            embodiment=episode.embodiment,
            views={},
            state={},
            action=sizes,
            horizon=self._horizon,
            rate_hz=episode.rate_hz,
        )
        return self.step_info

    @property
    def step_info(self) -> dict[str, int]:
        """Where the replay is."""
        return {"current_step": self._step, "episode_length": len(self._rows), "episode_index": self._episode}

    def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """The next recorded actions, whatever is observed."""
        steps = np.minimum(self._step + np.arange(self._horizon), len(self._rows) - 1)
        chunk = self._rows[steps].astype(np.float32)
        self._step = min(self._step + self._executed, len(self._rows) - 1)
        return {part: chunk[:, span] for part, span in self._spans.items()}
