"""Experts that take a cube from above and lift it: the one of robosuite's Lift, or one of the two of its Stack."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from generators.simulation.experts.waypoints import Milestones, Pose, Script, ScriptedArm, downward, play, pose, shifted
from generators.simulation.task.specification import Action

OPEN, CLOSED = (-1.0,), (1.0,)


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """The cube of Lift."""
    yield from _expert(env, rng, body=env.cube_body_id)


def expert_red(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """The red cube of Stack."""
    yield from _expert(env, rng, body=env.cubeA_body_id)


def expert_green(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """The green cube of Stack."""
    yield from _expert(env, rng, body=env.cubeB_body_id)


def _expert(env: Any, rng: np.random.Generator, *, body: int) -> Iterator[tuple[Action, dict[str, bool]]]:
    arm = ScriptedArm(env, 0)
    grasp = grasp_on_cube(arm, cube_pose(env, body))
    yield from play(
        [arm], [_lift(arm, grasp, speed_m_s=rng.uniform(0.22, 0.30), height_m=rng.uniform(0.10, 0.14))], Milestones()
    )


def _lift(arm: ScriptedArm, grasp: Pose, *, speed_m_s: float, height_m: float) -> Script:
    yield from pick(arm, grasp, speed_m_s=speed_m_s)
    yield from arm.move(shifted(grasp, (0, 0, height_m)), speed_m_s=speed_m_s, tolerance_m=0.03)
    yield from arm.wait(6)


def pick(arm: ScriptedArm, grasp: Pose, *, speed_m_s: float) -> Script:
    """Go over the grasp, down to it, and close."""
    yield from arm.move(shifted(grasp, (0, 0, 0.08)), speed_m_s=speed_m_s, tolerance_m=0.02)
    yield from arm.move(grasp, speed_m_s=0.6 * speed_m_s, tolerance_m=0.006)
    yield from arm.grip(CLOSED, steps=8)


def cube_pose(env: Any, body: int) -> Pose:
    """Pose of a body in the world, now."""
    return pose(env.sim.data.body_xpos[body], env.sim.data.body_xmat[body].reshape(3, 3))


def grasp_on_cube(arm: ScriptedArm, cube: Pose) -> Pose:
    """Gripper at the cube's centre, pointing down, fingers on the pair of faces that needs the least turn."""
    x_axis = arm.pose_in_world[:3, 0]
    now = np.arctan2(x_axis[1], x_axis[0])
    yaw = np.arctan2(cube[1, 0], cube[0, 0])
    quarter_turns = np.round((now - yaw) / (np.pi / 2))
    return pose(cube[:3, 3], downward(yaw + quarter_turns * np.pi / 2))
