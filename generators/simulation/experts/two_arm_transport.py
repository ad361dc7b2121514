"""Expert for robosuite's TwoArmTransport.

Arm 0 takes the lid off the start bin, then the hammer out of it, and hands it over; arm 1 meanwhile moves the cube from
the target bin to the trash bin, then takes the hammer and lays it into the target bin.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.experts.two_arm_handover import turn_to_point_away
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
)
from generators.simulation.task.specification import Action

OPEN, CLOSED = (-1.0,), (1.0,)
LID_PLACE_M = np.array([-0.20, -0.45, 0.832])
"""Where the lid's handle ends up: on the free half of the first table."""
MEETING_POINT_M = np.array([0.0, -0.04, 1.08])
HEAD_GRASP_M = 0.060
"""Where arm 0 takes the hammer, from the middle of its handle to its head: by its centre of mass, or it droops."""
OFF_THE_WALL_M = 0.02
"""How far the hammer is drawn back before it is lifted: its head all but touches the bin."""
HANDLE_GRASP_M = 0.060
"""Where arm 1 takes it, to the other side."""
TAKING = leaning(downward(0.0), np.radians(-30))
"""Arm 1 leans back towards its base as it takes the hammer: upright it would have to stretch its elbow."""


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    arms = [ScriptedArm(env, 0), ScriptedArm(env, 1)]
    done = Milestones("lid_off", "payload_out", "presented", "taken", "released", "trash_held", "trash_gone")
    meeting = MEETING_POINT_M + rng.uniform(-0.015, 0.015, 3)
    yield from play(arms, [_sender(env, arms[0], done, meeting), _receiver(env, arms[1], done, meeting)], done)


def _sender(env: Any, arm: ScriptedArm, done: Milestones, meeting: NDArray[np.float64]) -> Script:
    lid = shifted(pose(env.transport.lid_handle_pos, downward(np.pi)), (0, 0, 0.005))
    yield from _pick(arm, lid, above_m=0.10)
    put = pose(LID_PLACE_M, lid[:3, :3])
    yield from arm.move(shifted(put, (0, 0, 0.12)), tolerance_m=0.03)
    yield from arm.move(put, speed_m_s=0.15, tolerance_m=0.012)
    yield from arm.grip(OPEN)
    yield from arm.move(shifted(put, (0, 0, 0.12)), tolerance_m=0.03)
    done.reach("lid_off")
    handle = _handle(env)
    start_rad, turn_rad = turn_to_point_away(handle)
    grasp = pose(env.transport.payload_pos + HEAD_GRASP_M * handle, downward(np.pi + start_rad))
    yield from _pick(arm, grasp, above_m=0.22, first_m=-OFF_THE_WALL_M * handle + (0, 0, 0.005))
    done.reach("payload_out")
    held_out = pose(meeting - (0, HEAD_GRASP_M, 0), downward(np.pi + start_rad + turn_rad))
    yield from arm.move(held_out, patience_steps=30)
    done.reach("presented")
    yield from arm.wait_until(lambda: done["taken"])
    yield from arm.grip(OPEN)
    yield from arm.move(shifted(arm.target_in_world, (0, -0.06, 0.12)), tolerance_m=0.03)
    done.reach("released")


def _receiver(env: Any, arm: ScriptedArm, done: Milestones, meeting: NDArray[np.float64]) -> Script:
    group = env.transport
    turn = _yaw(env.sim.data.body_xmat[group.trash_body_id].reshape(3, 3))
    yield from _pick(arm, pose(group.trash_pos, downward(turn)), above_m=0.22)
    done.reach("trash_held")
    drop = shifted(pose(group.trash_bin_pos, downward(0.0)), (0, 0, 0.17))
    yield from arm.move(shifted(drop, (0, 0, 0.06)), tolerance_m=0.03)
    yield from arm.move(drop, speed_m_s=0.15, tolerance_m=0.02)
    yield from arm.grip(OPEN)
    yield from arm.move(shifted(drop, (0, 0, 0.12)), tolerance_m=0.03)
    done.reach("trash_gone")
    ahead = shifted(pose(meeting, TAKING), (0, 0.16, 0.10))
    yield from arm.move(ahead)
    yield from arm.wait_until(lambda: done["presented"])
    grasp = pose(group.payload_pos - HANDLE_GRASP_M * _handle(env), TAKING)
    yield from arm.move(shifted(grasp, (0, 0, 0.08)))
    yield from arm.move(grasp, speed_m_s=0.12, tolerance_m=0.008)
    yield from arm.grip(CLOSED)
    done.reach("taken")
    yield from arm.wait_until(lambda: done["released"])
    yield from _lay_into_target(env, arm)


def _lay_into_target(env: Any, arm: ScriptedArm) -> Script:
    held_in_gripper = arm.pose_in_world[:3, 3] - env.transport.payload_pos
    over = env.transport.target_bin_pos + held_in_gripper * (1, 1, 0) + (0, 0, 0.06)
    place = pose(over, downward(0.0))
    yield from arm.move(shifted(place, (0, 0, 0.22)), tolerance_m=0.03)
    yield from arm.move(place, speed_m_s=0.15, tolerance_m=0.015)
    yield from arm.grip(OPEN)
    yield from arm.move(shifted(place, (0, 0, 0.15)), tolerance_m=0.03)
    yield from arm.wait(8)


def _pick(arm: ScriptedArm, grasp: Pose, *, above_m: float, first_m: Iterable[float] = (0, 0, 0)) -> Script:
    """Take something from above: go over it, down, close, a first little move, and up."""
    yield from arm.move(shifted(grasp, (0, 0, above_m)))
    yield from arm.move(grasp, speed_m_s=0.15, tolerance_m=0.006)
    yield from arm.grip(CLOSED)
    freed = shifted(grasp, first_m)
    yield from arm.move(freed, speed_m_s=0.1)
    yield from arm.move(shifted(freed, (0, 0, above_m)), speed_m_s=0.2, tolerance_m=0.03)


def _handle(env: Any) -> NDArray[np.float64]:
    """Unit vector along the hammer's handle, from its free end to the head."""
    return np.array(env.sim.data.body_xmat[env.transport.payload_body_id].reshape(3, 3)[:, 2])


def _yaw(rotation: NDArray[np.float64]) -> float:
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))
