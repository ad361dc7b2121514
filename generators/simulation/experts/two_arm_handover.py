"""Expert for robosuite's TwoArmHandover: arm 0 takes the hammer near its head and holds out the handle to arm 1."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.experts.waypoints import (
    Milestones,
    Pose,
    Script,
    ScriptedArm,
    downward,
    leaning,
    play,
    pose,
    shifted,
    turned_z,
)
from generators.simulation.task.specification import Action

OPEN, CLOSED = (-1.0,), (1.0,)
MEETING_POINT_M = np.array([0.0, -0.04, 1.08])
"""Where the middle of the handle is held out, in the world."""
TURNS_RAD = (-1.9, 3.5)
"""How far gripper 0 may be turned from its start without leaving the range of the last joint."""
GRASP_FROM_END_M = 0.035
TAKING = leaning(downward(0.0), np.radians(-30))
"""Arm 1 leans back towards its base as it takes the handle: upright it would have to stretch its elbow."""


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    arms = [ScriptedArm(env, 0), ScriptedArm(env, 1)]
    done = Milestones("lifted", "presented", "taken", "released")
    meeting = MEETING_POINT_M + rng.uniform(-0.015, 0.015, 3)
    scripts = [_give(env, arms[0], done, meeting), _take(env, arms[1], done, meeting)]
    yield from play(arms, scripts, done)


def _give(env: Any, arm: ScriptedArm, done: Milestones, meeting: NDArray[np.float64]) -> Script:
    grasp, turn_rad = _grasp_and_turn(env)
    yield from arm.move(shifted(grasp, (0, 0, 0.12)))
    yield from arm.move(grasp, speed_m_s=0.15, tolerance_m=0.006)
    yield from arm.grip(CLOSED)
    yield from arm.move(shifted(grasp, (0, 0, 0.15)), tolerance_m=0.03)
    done.reach("lifted")
    head_end = meeting - (0, _grasp_from_middle(env), 0)
    yield from arm.move(pose(head_end, turned_z(turn_rad) @ grasp[:3, :3]), patience_steps=30)
    done.reach("presented")
    yield from arm.wait_until(lambda: done["taken"])
    yield from arm.grip(OPEN)
    yield from arm.move(shifted(arm.target_in_world, (0, -0.04, 0.12)), tolerance_m=0.03)
    yield from arm.wait(10)
    done.reach("released")


def _take(env: Any, arm: ScriptedArm, done: Milestones, meeting: NDArray[np.float64]) -> Script:
    ahead = shifted(pose(meeting, TAKING), (0, 0.14, 0.10))
    yield from arm.move(ahead)
    yield from arm.wait_until(lambda: done["presented"])
    free_end = env.sim.data.body_xpos[env.hammer_body_id] - _handle(env) * _grasp_from_middle(env)
    grasp = pose(free_end, TAKING)
    yield from arm.move(shifted(grasp, (0, 0, 0.08)))
    yield from arm.move(grasp, speed_m_s=0.12, tolerance_m=0.008)
    yield from arm.grip(CLOSED)
    done.reach("taken")
    yield from arm.wait_until(lambda: done["released"])


def _handle(env: Any) -> NDArray[np.float64]:
    """Unit vector along the handle, from its free end to the head."""
    return np.array(env.sim.data.body_xmat[env.hammer_body_id].reshape(3, 3)[:, 2])


def _grasp_from_middle(env: Any) -> float:
    return float(env.hammer.handle_length) / 2 - GRASP_FROM_END_M


def _grasp_and_turn(env: Any) -> tuple[Pose, float]:
    """Grasp near the head from above, and the turn about the vertical that then points the free end at arm 1."""
    start_rad, turn_rad = turn_to_point_away(_handle(env))
    grasp_at = env.sim.data.body_xpos[env.hammer_body_id] + _handle(env) * _grasp_from_middle(env)
    return pose(grasp_at, downward(np.pi + start_rad)), turn_rad


def turn_to_point_away(handle: NDArray[np.float64]) -> tuple[float, float]:
    """How far gripper 0 is turned from its start as it takes a handle (unit vector to the head), and the turn about the
    vertical that then brings the head towards arm 0 (-y).

    The gripper is symmetric, so of its two headings the one is taken that keeps the last joint inside its range.
    """
    heading = float(np.arctan2(handle[1], handle[0]))
    turn = (-np.pi / 2 - heading + np.pi) % (2 * np.pi) - np.pi
    starts = [final - turn for final in (0.0, np.pi) if TURNS_RAD[0] <= final - turn <= TURNS_RAD[1]]
    return min(starts, key=abs), turn
