"""Expert for robosuite's TwoArmPegInHole: arm 1 turns the plate to arm 0, which aims the peg and pushes it through.

Both slope by 35 degrees: Panda's sixth joint does not let a hand point level so close to its base.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from generators.simulation.experts.waypoints import Milestones, Pose, Script, ScriptedArm, downward, play, pose
from generators.simulation.task.specification import Action

HOLE_M = np.array([0.0, 0.12, 1.15])
"""Where the middle of the hole is brought, in the world."""
HOLE_FROM_HAND_M = 0.17
SLOPE_DEG = 35.0
HOLE_IN_PLATE_M = np.array([0.11, 0.0, 0.0])
AHEAD_M = 0.20
"""How far the middle of the peg is from the hole before the push."""


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    arms = [ScriptedArm(env, 0, open_hand=()), ScriptedArm(env, 1, open_hand=())]
    done = Milestones("presented", "aimed")
    hole = HOLE_M + rng.uniform(-0.02, 0.02, 3)
    yield from play(arms, [_insert(env, arms[0], done, hole), _present(arms[1], done, hole)], done)


def _present(arm: ScriptedArm, done: Milestones, hole: NDArray[np.float64]) -> Script:
    rotation = _slope() @ downward(np.pi / 2)
    yield from arm.move(pose(hole - HOLE_FROM_HAND_M * rotation[:, 2], rotation))
    done.reach("presented")


def _insert(env: Any, arm: ScriptedArm, done: Milestones, hole: NDArray[np.float64]) -> Script:
    aim = _slope() @ Rotation.from_euler("x", 90, degrees=True).as_matrix() @ downward(np.pi)
    yield from arm.move(_hand_for_peg(env, arm, hole - AHEAD_M * aim[:, 2], aim))
    yield from arm.wait_until(lambda: done["presented"])
    done.reach("aimed")
    plate = _body_pose(env, env.hole_body_id)
    seen_hole = plate[:3, 3] + plate[:3, :3] @ HOLE_IN_PLATE_M
    yield from arm.move(_hand_for_peg(env, arm, seen_hole - AHEAD_M * aim[:, 2], aim))
    yield from arm.move(_hand_for_peg(env, arm, seen_hole, aim), speed_m_s=0.12)
    yield from arm.wait(8)


def _slope() -> NDArray[np.float64]:
    return np.asarray(Rotation.from_euler("x", -SLOPE_DEG, degrees=True).as_matrix())


def _hand_for_peg(env: Any, arm: ScriptedArm, peg_middle: NDArray[np.float64], rotation: NDArray[np.float64]) -> Pose:
    """The hand's pose that brings the middle of the peg, which is fixed to it, to a point."""
    now = arm.pose_in_world
    peg_in_hand = now[:3, :3].T @ (_body_pose(env, env.peg_body_id)[:3, 3] - now[:3, 3])
    return pose(peg_middle - rotation @ peg_in_hand, rotation)


def _body_pose(env: Any, body: int) -> Pose:
    return pose(env.sim.data.body_xpos[body], env.sim.data.body_xmat[body].reshape(3, 3))
