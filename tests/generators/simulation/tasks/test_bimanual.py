"""What the bimanual tasks say of their scenes: signals, success, ranges."""

import numpy as np
import pytest

from generators.simulation.task.registry import find_task
from generators.simulation.tasks import two_arm_peg_in_hole

from .bimanual import after_first_source, assert_wider, scene_of, signals

TASKS = ("two_arm_lift", "two_arm_handover", "two_arm_peg_in_hole", "tray_lift", "drawer_cleanup")
"""Less TwoArmTransport, whose demonstrations take the longest to replay."""


@pytest.mark.parametrize("name", [*TASKS, "two_arm_transport"])
def test_nothing_holds_and_nothing_is_done_after_a_reset(name):
    scene = scene_of(name)
    scene.reset(11)
    held = {signal for signal, value in signals(scene).items() if value}
    assert held <= {"load_in_tray"}
    assert not scene.succeeded()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("two_arm_lift", {"right_holds", "left_holds"}),
        ("two_arm_handover", {"left_holds"}),
        ("two_arm_peg_in_hole", {"inserted"}),
        ("tray_lift", {"right_hooked", "left_hooked", "load_in_tray"}),
        ("drawer_cleanup", {"carton_in_drawer"}),
        pytest.param("two_arm_transport", {"trash_in_trash_bin"}, marks=pytest.mark.slow),
    ],
)
def test_a_demonstration_ends_with_the_signals_of_its_success(name, wanted):
    scene = after_first_source(name)
    assert scene.succeeded()
    assert wanted <= {signal for signal, value in signals(scene).items() if value}


def test_the_hammer_has_changed_hands():
    assert not signals(after_first_source("two_arm_handover"))["right_holds"]


def test_the_drawer_is_closed_at_the_end_and_an_open_one_is_no_success():
    scene = after_first_source("drawer_cleanup")
    environment = scene.environment
    assert environment.drawer_open_m < 0.02
    environment.sim.data.set_joint_qpos("cabinet_drawer_slide", 0.17)
    environment.sim.forward()
    assert signals(scene)["drawer_open"]
    assert not scene.succeeded()


def test_a_tray_that_has_lost_its_load_is_no_success():
    scene = after_first_source("tray_lift")
    environment = scene.environment
    load = environment.sim.data.get_joint_qpos(environment.load.joints[0]).copy()
    load[0] += 0.3
    environment.sim.data.set_joint_qpos(environment.load.joints[0], load)
    environment.sim.forward()
    assert not signals(scene)["load_in_tray"]
    assert not scene.succeeded()


@pytest.mark.parametrize(
    ("along", "aside", "cosine", "expected"),
    [(0.03, 0.01, 0.999, True), (0.08, 0.01, 0.999, False), (0.03, 0.06, 0.999, False), (0.03, 0.01, 0.9, False)],
)
def test_a_peg_is_in_when_its_middle_is_in_the_hole_and_along_it(along, aside, cosine, expected):
    class Aimed:
        def _compute_orientation(self):
            return along, aside, cosine

    assert two_arm_peg_in_hole.inserted(Aimed()) is expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "thing", "half_range_m"),
    [
        ("two_arm_lift", "pot", 0.08),
        ("two_arm_handover", "hammer", 0.2),
        ("tray_lift", "tray", 0.08),
        ("drawer_cleanup", "cabinet", 0.06),
        ("drawer_cleanup", "carton", 0.10),
        ("two_arm_transport", "target_bin", 0.03),
    ],
)
def test_d1_places_things_farther_apart(name, thing, half_range_m):
    assert_wider(name, thing, half_range_m=half_range_m)


@pytest.mark.slow
def test_d1_of_the_peg_begins_in_more_different_postures():
    spread = []
    for placement in ("D0", "D1"):
        scene, found = scene_of("two_arm_peg_in_hole", placement), []
        for seed in range(20):
            scene.reset(seed)
            found.append(scene.data.qpos.copy())
        spread.append(np.std(found, axis=0).mean())
    assert spread[1] > 2 * spread[0]


@pytest.mark.parametrize("robot_class", ["two_pandas", "two_pandas_inspire", "gr1"])
def test_every_kind_of_constraint_is_used_on_every_class_of_two_armed_robots(robot_class):
    from generators.simulation.task.registry import tasks

    kinds = {kind for task in tasks().values() if task.robot_class == robot_class for kind in task.constraint_kinds}
    assert kinds == {"coordination", "sequential"}


def test_the_handle_of_the_hammer_is_long_enough_for_two_hands():
    assert find_task("two_arm_handover").variants == 1
    assert scene_of("two_arm_handover").environment.hammer.handle_length > 0.2
