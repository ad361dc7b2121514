"""Roll-outs: fixed scenes, what the policy is shown, verdicts."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from generators.simulation.rollouts.roll_out import FAILED, RollOut
from generators.simulation.rollouts.roll_out_config import RollOutConfig
from groot.serving.observation import Observation, PolicyInfo
from storage.episode import Episode
from storage.errors import ConfigError, MissingFileError
from storage.ids import Randomness
from storage.outcomes import Kept

CONFIG = RollOutConfig(task="lift", policy="still", placement="D1", horizon=6, execute_steps=4, size_px=32)


class Still:
    """Closes the hand and moves a little, and keeps what it was shown."""

    info = PolicyInfo(
        embodiment="panda",
        views={"front": ("agentview",)},
        state={"gripper": 2, "end_effector_position": 3},
        action={"position_delta": 3, "rotation_delta": 3, "gripper": 1},
        horizon=8,
        rate_hz=20.0,
    )

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        self.seen.append(observation)
        return {part: np.full((8, size), 0.1, np.float32) for part, size in self.info.action.items()}


def episode(policy: Any, scene: int, config: RollOutConfig = CONFIG) -> Episode:
    ((outcome,),) = RollOut(config, policy)([{"scene": scene}], Randomness(0, "roll_out"))
    assert isinstance(outcome, Kept)
    return outcome.episode


def test_a_scene_is_the_same_whenever_it_is_tried_and_differs_from_others() -> None:
    stage = RollOut(CONFIG, Still())
    first, other, again = (
        outcome.episode
        for (outcome,) in stage([{"scene": 1}, {"scene": 2}, {"scene": 1}], Randomness(5, "roll_out"))
        if isinstance(outcome, Kept)
    )
    assert np.array_equal(first.arrays["simulation/state"], again.arrays["simulation/state"])
    assert first.episode_id == again.episode_id != other.episode_id
    assert not np.array_equal(first.arrays["simulation/state"][0], other.arrays["simulation/state"][0])


def test_the_policy_sees_what_the_episode_holds_and_a_failure_has_a_verdict() -> None:
    policy = Still()
    made = episode(policy, 3)
    assert len(policy.seen) == 2, "six steps are two chunks of four"
    for seen, step in zip(policy.seen, (0, 4), strict=True):
        stored = made.cameras["agentview"].decode([step])[0].astype(float)
        assert np.abs(seen.images["front"].astype(float) - stored).mean() < 6, "up to the picture codec"
        assert np.allclose(seen.state["gripper"], made.arrays["state"][step, 9:11], atol=1e-5)
    assert seen.instruction == made.instruction == "lift the red cube"
    assert made.length == 6
    assert made.verdicts[0]["pass"] is False
    assert made.verdicts[0]["reason"] == FAILED
    assert np.allclose(made.arrays["action/ground_truth"], 0.1)


def test_another_instruction_takes_the_place_of_the_tasks() -> None:
    policy = Still()
    config = RollOutConfig(task="lift", policy="still", horizon=2, size_px=32, instruction="do nothing")
    assert episode(policy, 0, config).instruction == policy.seen[0].instruction == "do nothing"


def test_a_policy_for_another_body_and_a_missing_server_are_refused() -> None:
    class Armless(Still):
        def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
            return {"action": np.zeros((8, 7), np.float32)}

    with pytest.raises(ConfigError, match="position_delta"):
        episode(Armless(), 0)
    with pytest.raises(MissingFileError, match="pyramid serve"):
        RollOut(RollOutConfig(task="lift", policy="p", address="/nowhere/policy_server"))
