from dataclasses import replace

import numpy as np
import pytest

from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.placements import with_ranges
from generators.simulation.task.registry import find_task
from generators.simulation.task.specification import Placement
from storage.errors import BrokenSimulationError, ConfigError, UnknownNameError


def test_a_reset_follows_from_its_seed_alone(stack_scene):
    stack_scene.reset(7)
    first = state_row(stack_scene.environment)
    stack_scene.reset(8)
    assert not np.array_equal(state_row(stack_scene.environment), first)
    for _ in range(5):
        stack_scene.step(np.ones(7, np.float32))
    stack_scene.reset(7)
    np.testing.assert_array_equal(state_row(stack_scene.environment), first)


def test_placements_widen_where_things_lie():
    def spread(placement: str) -> float:
        scene = Scene(find_task("stack"), placement=placement)
        places = []
        for seed in range(20):
            scene.reset(seed)
            places.append(scene.task.object_poses(scene.environment)["cubeA"][:2, 3])
        return float(np.ptp(places, axis=0).max())

    assert spread("D0") < 0.17
    assert spread("D1") > 0.2


def test_a_placement_that_places_things_itself_uses_only_its_randomness():
    def place(environment, rng):
        environment.sim.data.set_joint_qpos("cubeA_joint0", [rng.uniform(0.1, 0.2), 0, 0.85, 1, 0, 0, 0])

    task = replace(find_task("stack"), placements={"D0": Placement(place=place)})
    scene = Scene(task)
    scene.reset(3)
    first = state_row(scene.environment)
    assert scene.task.object_poses(scene.environment)["cubeA"][0, 3] > 0.1
    scene.reset(3)
    np.testing.assert_array_equal(state_row(scene.environment), first)


def test_an_unknown_placement_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'D7'.*D0"):
        Scene(find_task("stack"), placement="D7")


def test_an_unknown_environment_names_the_nearest_one():
    with pytest.raises(UnknownNameError, match="'Stakc'; did you mean Stack"):
        Scene(replace(find_task("stack"), environment="Stakc"))
    with pytest.raises(UnknownNameError, match="not importable"):
        Scene(replace(find_task("stack"), environment="no_such_module:Env"))


def test_an_environment_that_cannot_be_built_says_why():
    with pytest.raises(ConfigError, match=r"task 'stack' cannot be built: TypeError: .*wings"):
        Scene(replace(find_task("stack"), arguments={"wings": 2}))


def test_a_model_that_does_not_compile_is_a_clear_error():
    def broken(**arguments):
        import mujoco

        return mujoco.MjModel.from_xml_string("<mujoco><worldbody><body><joint/></body></worldbody></mujoco>")

    with pytest.raises(ConfigError, match=r"cannot be built: ValueError: .*mass and inertia"):
        Scene(replace(find_task("stack"), environment=broken))


def test_a_scene_without_room_for_its_objects_is_a_failure_that_can_be_counted():
    crowded = Placement(prepare=with_ranges(x=(0.0, 0.0), y=(0.0, 0.0)))
    scene = Scene(find_task("stack"))
    crowded.prepare(scene.environment)
    with pytest.raises(BrokenSimulationError, match="reset with seed 4"):
        scene.reset(4)
