"""Experts for robosuite's Stack: take one cube, put it on the other, let go and withdraw."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from generators.simulation.experts.lift import OPEN, cube_pose, grasp_on_cube, pick
from generators.simulation.experts.waypoints import Milestones, Script, ScriptedArm, play, pose, shifted
from generators.simulation.task.specification import Action

CARRY_M = 0.09
PLACE_GAP_M = 0.006


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """Red on green."""
    yield from _expert(env, rng, cube=env.cubeA, base=env.cubeB)


def expert_green_on_red(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """Green on red."""
    yield from _expert(env, rng, cube=env.cubeB, base=env.cubeA)


def _expert(env: Any, rng: np.random.Generator, *, cube: Any, base: Any) -> Iterator[tuple[Action, dict[str, bool]]]:
    arm = ScriptedArm(env, 0)
    script = _stack(env, arm, cube=cube, base=base, speed_m_s=rng.uniform(0.20, 0.28))
    yield from play([arm], [script], Milestones())


def _stack(env: Any, arm: ScriptedArm, *, cube: Any, base: Any, speed_m_s: float) -> Script:
    body, base_body = env.sim.model.body_name2id(cube.root_body), env.sim.model.body_name2id(base.root_body)
    grasp = grasp_on_cube(arm, cube_pose(env, body))
    yield from pick(arm, grasp, speed_m_s=speed_m_s)
    yield from arm.move(shifted(grasp, (0, 0, CARRY_M)), speed_m_s=speed_m_s, tolerance_m=0.02)
    held = arm.pose_in_world[:3, 3] - cube_pose(env, body)[:3, 3]
    below = cube_pose(env, base_body)[:3, 3]
    top = below[2] + base.top_offset[2] - cube.bottom_offset[2] + PLACE_GAP_M
    place = pose(held + np.array([below[0], below[1], top]), grasp[:3, :3])
    yield from arm.move(shifted(place, (0, 0, 0.05)), speed_m_s=speed_m_s, tolerance_m=0.01)
    yield from arm.move(place, speed_m_s=0.5 * speed_m_s, tolerance_m=0.005)
    yield from arm.grip(OPEN, steps=6)
    yield from arm.move(shifted(place, (0, 0, 0.08)), speed_m_s=speed_m_s, tolerance_m=0.03)
    yield from arm.wait(6)
