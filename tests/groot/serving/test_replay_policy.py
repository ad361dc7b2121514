"""The replay policy gives a data set's own actions."""

from pathlib import Path

import numpy as np
import pytest

from groot.serving.observation import Observation
from groot.serving.replay_policy import ReplayPolicy
from storage.errors import ConfigError, InputError
from storage.testing import tiny_dataset

NOTHING = Observation(images={}, state={})


def test_the_executed_steps_of_all_chunks_are_the_recorded_actions(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d", length=12)
    policy = ReplayPolicy(dataset.root, horizon=8, execution_horizon=4)
    told = [policy.act(NOTHING) for _ in range(3)]
    played = np.concatenate(
        [np.concatenate([chunk[part][:4] for part in policy.info.action], axis=1) for chunk in told]
    )
    assert np.array_equal(played, next(dataset.episodes()).arrays["action/ground_truth"])


def test_a_reset_begins_anywhere_and_the_end_is_padded(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d", length=12)
    policy = ReplayPolicy(dataset.root, horizon=8)
    assert policy.reset(episode_index=2, step_index=10) == {
        "current_step": 10,
        "episode_length": 12,
        "episode_index": 2,
    }
    chunk = policy.act(NOTHING)["gripper"]
    assert np.array_equal(chunk[1:], np.repeat(chunk[1:2], 7, axis=0))
    with pytest.raises(InputError, match="numbered"):
        policy.reset(episode_index=99)
    with pytest.raises(InputError, match="steps of episode"):
        policy.reset(step_index=12)


def test_what_has_no_actions_cannot_be_replayed(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d")
    with pytest.raises(ConfigError, match="action/latent"):
        ReplayPolicy(dataset.root, action="action/latent")
