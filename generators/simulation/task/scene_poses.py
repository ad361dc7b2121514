"""Reading plain robosuite environments: poses of bodies, sites and geoms, end effectors, joints."""

from typing import Any

import numpy as np

from generators.simulation.task.specification import Arm, Environment, Pose
from storage.errors import ConfigError, UnknownNameError


def pose_of(position: Any, rotation: Any) -> Pose:
    """A 4x4 pose from a position (3,) and a rotation matrix of 9 numbers, row by row."""
    pose = np.eye(4)
    pose[:3, 3] = position
    pose[:3, :3] = np.reshape(rotation, (3, 3))
    return pose


def body_pose(environment: Environment, name: str) -> Pose:
    """Pose of a body in the world, now; raises UnknownNameError."""
    model, data = environment.sim.model._model, environment.sim.data._data
    index = _named(model, "body", name)
    return pose_of(data.xpos[index], data.xmat[index])


def site_pose(environment: Environment, name: str) -> Pose:
    """Pose of a site in the world, now; raises UnknownNameError."""
    model, data = environment.sim.model._model, environment.sim.data._data
    index = _named(model, "site", name)
    return pose_of(data.site_xpos[index], data.site_xmat[index])


def geom_pose(environment: Environment, name: str) -> Pose:
    """Pose of a geom in the world, now; raises UnknownNameError."""
    model, data = environment.sim.model._model, environment.sim.data._data
    index = _named(model, "geom", name)
    return pose_of(data.geom_xpos[index], data.geom_xmat[index])


def _named(model: Any, kind: str, name: str) -> int:
    try:
        return int(getattr(model, kind)(name).id)
    except KeyError:
        count = getattr(model, f"n{kind}")
        known = [getattr(model, kind)(index).name for index in range(count)]
        raise UnknownNameError.among(f"{kind} in the scene", name, [one for one in known if one]) from None


def part_controller(environment: Environment, arm: Arm) -> Any:
    """robosuite's controller of an arm; raises ConfigError where the scene has no such arm."""
    if arm.robot >= len(environment.robots):
        raise ConfigError(f"arm {arm.name!r} belongs to robot {arm.robot}; the scene has {len(environment.robots)}")
    controllers = environment.robots[arm.robot].part_controllers
    if arm.side not in controllers:
        raise ConfigError(
            f"arm {arm.name!r} is the {arm.side!r} part of robot {arm.robot}; it has {sorted(controllers)}"
        )
    return controllers[arm.side]


def site_of(environment: Environment, arm: Arm) -> int:
    """MuJoCo's number of the site that stands for an arm's end effector."""
    name = arm.site or part_controller(environment, arm).ref_name
    return _named(environment.sim.model._model, "site", name)


def joint_positions(environment: Environment, arm: Arm) -> Any:
    """Joint positions of an arm in rad, (J,)."""
    return environment.sim.data._data.qpos[part_controller(environment, arm).qpos_index]


def hand_positions(environment: Environment, arm: Arm) -> Any:
    """Joint positions of an arm's hand, (H,); (0,) where it has none."""
    indexes = environment.robots[arm.robot]._ref_gripper_joint_pos_indexes.get(arm.side)
    return environment.sim.data._data.qpos[indexes if indexes is not None else []]
