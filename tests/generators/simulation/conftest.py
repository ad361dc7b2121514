import os
from dataclasses import replace

import numpy as np
import pytest

os.environ.setdefault("MUJOCO_GL", "egl")

from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import read_recordings, source_path
from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.registry import find_task
from generators.simulation.task.specification import Subtask, Task


@pytest.fixture(scope="session")
def stack_scene() -> Scene:
    return Scene(find_task("stack"))


@pytest.fixture(scope="session")
def stack_sources(stack_scene: Scene) -> list[SourceDemonstration]:
    reader = SourceReader(stack_scene.task, lambda placement, variant: stack_scene)
    return reader.read(source_path(stack_scene.task), at_most=6)


@pytest.fixture(scope="session")
def stack_recordings():
    return read_recordings(source_path(find_task("stack")))


def always(environment) -> bool:
    return True


def pot_pose(environment):
    from generators.simulation.task.scene_poses import body_pose

    return {"pot": body_pose(environment, environment.pot.root_body)}


def two_arm_task(**changes) -> Task:
    """Two Pandas, each with one subtask that follows the pot; any state is a success, nothing is noisy."""
    piece = Subtask(name="move", reference=None, noise_position_m=0.0, noise_rotation_rad=0.0)
    task = replace(
        find_task("two_arm_lift"),
        name="two_arms",
        subtasks={"right": (piece,), "left": (piece,)},
        constraints=(),
        object_poses=pot_pose,
        signals=lambda environment: {},
        success=always,
        instruction="move",
    )
    return replace(task, **changes)


@pytest.fixture(scope="session")
def _two_arm_scene() -> Scene:
    return Scene(two_arm_task())


@pytest.fixture
def two_arm_scene(_two_arm_scene) -> Scene:
    """One scene for all tests, each of which may give it another task."""
    _two_arm_scene.task = two_arm_task()
    return _two_arm_scene


def straight_source(
    scene: Scene, *, rise_m: float, steps: int, ends: dict[str, tuple[int, ...]]
) -> SourceDemonstration:
    """A made-up demonstration from the scene's present state: both hands rise by `rise_m` over `steps`."""
    poses = scene.actuation.poses()
    start = {arm: np.repeat(pose[None], steps, axis=0) for arm, pose in poses.items()}
    targets = {arm: many.copy() for arm, many in start.items()}
    for many in targets.values():
        many[:, 2, 3] += np.linspace(0, rise_m, steps + 1)[1:]
    objects = {
        name: np.repeat(pose[None], steps, axis=0) for name, pose in scene.task.object_poses(scene.environment).items()
    }
    return SourceDemonstration(
        name="made_up",
        length=steps,
        poses=start,
        targets=targets,
        hands={arm: np.full((steps, 1), -1.0) for arm in poses},
        objects=objects,
        signals={},
        ends=ends,
    )
