import numpy as np
import pytest

from generators.simulation.robots.rotations import distance, moved
from generators.simulation.stepping.scene import Scene

from ..conftest import two_arm_task


@pytest.mark.parametrize("fixture", ["stack_scene", "two_arm_scene"])
def test_the_targets_of_an_action_give_the_action_back(fixture, request):
    scene: Scene = request.getfixturevalue(fixture)
    scene.reset(1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        action = rng.uniform(-0.95, 0.95, scene.environment.action_dim).astype(np.float32)
        targets, hands = scene.actuation.targets(action)
        np.testing.assert_allclose(scene.actuation.action(targets, hands), action, atol=1e-5)
        scene.step(action)


def test_recording_an_action_loses_no_bit(stack_scene):
    action = np.random.default_rng(0).normal(size=7).astype(np.float32)
    np.testing.assert_array_equal(stack_scene.actuation.recorded(stack_scene.actuation.record(action)), action)


def test_commands_stay_within_the_limits_however_far_the_target(stack_scene):
    stack_scene.reset(1)
    far = {"arm": moved(stack_scene.actuation.poses()["arm"], np.array([2.0, 0, 0, 0, 0, 3.0]))}
    action = stack_scene.actuation.action(far, {"arm": np.array([1.0])})
    assert np.abs(action).max() == 1.0


def test_an_arm_arrives_where_it_is_told_also_when_its_base_is_turned():
    scene = Scene(two_arm_task(arguments={"env_configuration": "opposed"}))
    scene.reset(1)
    goals = {arm: moved(pose, np.array([0.0, 0.03, 0.04, 0, 0, 0.2])) for arm, pose in scene.actuation.poses().items()}
    for _ in range(40):
        scene.step(scene.actuation.action(goals, {arm: np.array([-1.0]) for arm in goals}))
    for arm, pose in scene.actuation.poses().items():
        metres, radians = distance(pose, goals[arm])
        assert metres < 0.01
        assert radians < 0.05
