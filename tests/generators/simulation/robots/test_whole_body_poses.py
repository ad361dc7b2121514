"""The GR-1 under robosuite's own whole-body IK: absolute poses as actions, stored and replayed as they are."""

from dataclasses import replace

import numpy as np
import pytest

from generators.simulation.robots.gr1 import SIMULATED_GR1
from generators.simulation.robots.panda import SIMULATED_PANDA
from generators.simulation.robots.whole_body_poses import SIMULATED_GR1_POSES, WholeBodyPoses
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.specification import SimulatedEmbodiment, Subtask, Task
from storage.embodiment import embodiment_named
from storage.errors import ConfigError


def reach(body: SimulatedEmbodiment, **changes) -> Task:
    """robosuite's Lift with that embodiment: both hands go somewhere."""
    return Task(
        name="reach",
        environment="Lift",
        embodiment=replace(body, **changes),
        instruction="reach",
        subtasks={arm: (Subtask(name="go", reference=None),) for arm in body.arm_names},
        object_poses=lambda environment: {},
        signals=lambda environment: {},
    )


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(reach(SIMULATED_GR1_POSES))


@pytest.fixture
def commands(scene):
    """Targets of both hands beside where they are, and hand commands."""
    scene.reset(0)
    targets = {arm: pose.copy() for arm, pose in scene.actuation.poses().items()}
    targets["right"][2, 3] += 0.08
    targets["left"][0, 3] += 0.05
    return targets, {"right": np.full(6, 0.5), "left": np.full(6, -0.25)}


def test_both_hands_come_to_their_targets(scene, commands):
    targets, hands = commands
    for _ in range(60):
        scene.step(scene.actuation.action(targets, hands))
    for arm, pose in scene.actuation.poses().items():
        np.testing.assert_allclose(pose, targets[arm], atol=2e-3)


def test_an_action_holds_its_targets_and_hands(scene, commands):
    targets, hands = commands
    action = scene.actuation.action(targets, hands)
    assert action.shape == (embodiment_named("gr1_poses").action.size,) == (24,)
    back, back_hands = scene.actuation.targets(action)
    for arm in targets:
        np.testing.assert_allclose(back[arm], targets[arm], atol=1e-6)
        np.testing.assert_array_equal(back_hands[arm], hands[arm])
    assert scene.actuation.recorded(scene.actuation.record(action)).tobytes() == action.tobytes()


def test_our_loop_steps_as_env_step_does_to_the_bit(scene, commands):
    moment, action = scene.snapshot(), scene.actuation.action(*commands)
    ours, theirs = [], []
    for _ in range(10):
        scene.step(action)
        ours.append(state_row(scene.environment))
    scene.restore(moment)
    for _ in range(10):
        scene.environment.step(np.asarray(action, np.float64))
        scene.environment.sim.step1()
        theirs.append(state_row(scene.environment))
    np.testing.assert_array_equal(ours, theirs)


def test_another_controller_than_the_declared_one_is_refused_with_what_would_fit():
    with pytest.raises(ConfigError, match=r"under WHOLE_BODY_IK; embodiment 'gr1' takes joint targets.*GR1_POSES"):
        Scene(reach(SIMULATED_GR1, controllers=None))
    with pytest.raises(ConfigError, match=r"WHOLE_BODY_MINK_IK.*outside its wheel.*GR1_POSES"):
        Scene(reach(SIMULATED_GR1_POSES, robots=("GR1FixedLowerBody",)))
    with pytest.raises(ConfigError, match=r"base frame.*declares the world frame"):
        Scene(reach(SIMULATED_GR1_POSES, frame="world"))
    with pytest.raises(ConfigError, match=r"under BASIC; this actuation drives whole-body IK"):
        Scene(reach(replace(SIMULATED_PANDA, actuation=WholeBodyPoses)))
