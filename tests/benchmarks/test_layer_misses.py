"""How far beside the cube a hand closes."""

import numpy as np
import pytest

from benchmarks.layer_misses import beside_m
from storage.testing import tiny_episode


def roll_out(*, closes_at: int | None) -> float:
    """A hand that goes from 0.5 m to 0.1 m away from a cube at (1, 2), a tenth at a step."""
    state, simulation, action = np.zeros((5, 18)), np.zeros((5, 32)), -np.ones((5, 7))
    simulation[:, 10:12] = (1, 2)
    state[:, :2] = (1, 2)
    state[:, 1] += np.linspace(0.5, 0.1, 5)
    if closes_at is not None:
        action[closes_at:, 6] = 1
    arrays = {
        "state": state.astype(np.float32),
        "simulation/state": simulation,
        "action/ground_truth": action.astype(np.float32),
    }
    return beside_m(tiny_episode(0, length=5, arrays=arrays))


def test_the_distance_is_that_of_the_first_closing() -> None:
    assert roll_out(closes_at=2) == pytest.approx(0.3, abs=1e-6)


def test_a_hand_that_never_closes_has_its_least_distance() -> None:
    assert roll_out(closes_at=None) == pytest.approx(0.1, abs=1e-6)
