"""Playing actions of a simulated episode from its true initial state."""

from dataclasses import replace

import numpy as np
import pytest

from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from idm.evaluation.evaluate import path_drift
from storage.episode import Episode
from storage.ids import Randomness
from storage.outcomes import Kept
from workflows.models.replay_actions import Replayer, was_simulated


@pytest.fixture(scope="module")
def lifted() -> Episode:
    stage = Multiply(MultiplyConfig(task="lift", placement="D0", size_px=0))
    for attempt in range(5):
        ((outcome,),) = stage([{"first_attempt": attempt}], Randomness(0, "replay actions"))
        if isinstance(outcome, Kept):
            return outcome.episode
    raise AssertionError("no attempt at lift succeeded")


def test_the_true_actions_succeed_and_others_do_not(lifted: Episode) -> None:
    replayer, truth = Replayer(), lifted.arrays["action/ground_truth"]
    true = replayer(lifted, truth)
    assert true.succeeded
    assert true.path.shape == (lifted.length + 1, 3)
    backwards = replayer(lifted, truth[::-1])
    assert not backwards.succeeded
    assert path_drift(backwards.path, true.path, 16) > 0.2
    again = replayer(lifted, truth)
    assert again.succeeded
    assert np.array_equal(again.path, true.path)


def test_only_what_was_simulated_can_be_played(lifted: Episode) -> None:
    assert was_simulated(lifted)
    assert not was_simulated(replace(lifted, provenance={}))
