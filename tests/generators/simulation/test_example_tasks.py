"""The example tasks: sound by their check, multiplied, and exact in plain `env.step` from their provenance."""

from pathlib import Path

import numpy as np
import pytest

from generators.simulation.demonstrations.rebuild import rebuild
from generators.simulation.inspection.check import check_task
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import find_task
from storage.ids import Randomness
from storage.outcomes import Kept

FOLDER = Path(__file__).parents[3] / "examples"
EXAMPLES = ("round_nut.py", "two_cubes.py")
SOURCES = {"round_nut.hdf5", "two_cubes.hdf5"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_multiplied_and_replays_to_the_bit_in_plain_env_step(name):
    assert find_task(str(FOLDER / name)).sources in SOURCES
    stage = Multiply(MultiplyConfig(task=str(FOLDER / name), size_px=0, sources=2))
    (outcomes,) = stage([{"first_attempt": 0, "attempts": 10, "keep_at_most": 1}], Randomness(0, "multiply"))
    assert isinstance(outcomes[-1], Kept)
    made = rebuild(outcomes[-1].episode)
    for action, state in zip(made.actions, made.states, strict=True):
        np.testing.assert_array_equal(state_row(made.environment), state)
        made.environment.step(np.asarray(action, np.float64))
        made.environment.sim.step1()
    assert made.succeeded()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_check_finds_nothing_wrong_with_an_example(name, tmp_path):
    found = check_task(find_task(str(FOLDER / name)), tmp_path, video=False)
    assert found.good, found.text
