"""The contract of every task that is registered."""

import numpy as np
import pytest

from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.rebuild import rebuild
from generators.simulation.demonstrations.recordings import count_recordings, read_recordings, source_path
from generators.simulation.demonstrations.replay import replayed
from generators.simulation.inspection.check import check_task
from generators.simulation.inspection.listing import list_tasks, listing_text
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.scene import Scenes
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.constraints import graph_of
from generators.simulation.task.registry import find_task, tasks
from storage.embodiment import embodiment_named
from storage.ids import Randomness
from storage.outcomes import Kept

NAMES = sorted(tasks())


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_sound_without_being_built(name):
    task = find_task(name)
    graph_of(task)
    assert embodiment_named(task.embodiment.name).action.size > 0
    assert {"D0", "D1"} <= set(task.placements)
    assert task.instruction
    assert task.expert
    assert count_recordings(source_path(task)) >= 5


def test_the_list_of_tasks_has_a_row_for_each():
    rows = list_tasks()
    assert [row["name"] for row in rows] == list(tasks())
    assert all({"name", "robot_class", "sources", "success_rate", "constraints"} <= row.keys() for row in rows)
    assert len(listing_text(rows).splitlines()) == len(rows) + 1


@pytest.mark.parametrize("twins", [("stack", "stack_green_on_red"), ("pick_red", "pick_green")])
def test_twins_share_a_scene_and_neither_counts_as_the_other(twins):
    one, twin = map(find_task, twins)
    assert (one.environment, one.cameras, one.placements) == (twin.environment, twin.cameras, twin.placements)
    assert one.instruction != twin.instruction
    for done, other in ((one, twin), (twin, one)):
        scene = Scenes(done)("D0", 0)
        list(replayed(scene, read_recordings(source_path(done))[0]))
        assert done.success(scene.environment)
        assert not other.success(scene.environment)


ONE_OF_EACH_ROBOT = ("two_arm_peg_in_hole", "tray_lift", "apple_from_plate_to_bowl")
"""Stack, of one arm, is replayed among the tests of the stage."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ONE_OF_EACH_ROBOT else pytest.mark.slow) for name in NAMES]
)
def test_a_kept_trajectory_of_every_task_succeeds_again_in_plain_env_step_from_what_its_provenance_holds(name):
    stage = Multiply(MultiplyConfig(task=name, size_px=0, sources=3))
    (outcomes,) = stage([{"first_attempt": 0, "attempts": 25, "keep_at_most": 1}], Randomness(3, "multiply"))
    assert isinstance(outcomes[-1], Kept), f"no success in {len(outcomes)} attempts"
    episode = outcomes[-1].episode
    made = rebuild(episode)
    for action, state in zip(made.actions, made.states, strict=True):
        np.testing.assert_allclose(state_row(made.environment), state, rtol=0, atol=1e-9)
        made.environment.step(np.asarray(action, np.float64))
        made.environment.sim.step1()
    assert made.succeeded()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_source_demonstration_replays(name):
    task = find_task(name)
    assert len(SourceReader(task).read(source_path(task))) == len(read_recordings(source_path(task)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lift", "stack"])
def test_the_check_finds_nothing_wrong_with_the_single_arm_tasks(name, tmp_path):
    found = check_task(find_task(name), tmp_path)
    assert found.good, found.text
    assert {file.suffix for file in found.files} == {".png", ".mp4"}
    assert all(file.stat().st_size > 10_000 for file in found.files)
