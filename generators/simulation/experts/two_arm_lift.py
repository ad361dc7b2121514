"""Expert for robosuite's TwoArmLift: each Panda takes one handle of the pot from above, then both lift it together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.experts.waypoints import Milestones, Pose, Script, ScriptedArm, downward, play, pose, shifted
from generators.simulation.task.specification import Action

CLOSED = (1.0,)
LIFT_M = 0.22


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    arms = [ScriptedArm(env, 0), ScriptedArm(env, 1)]
    done = Milestones("handle0_held", "handle1_held")
    speed_m_s = rng.uniform(0.20, 0.28)
    yield from play(arms, [_lift(env, arms[index], index, done, speed_m_s) for index in (0, 1)], done)


def _lift(env: Any, arm: ScriptedArm, index: int, done: Milestones, speed_m_s: float) -> Script:
    grasp = _grasp_on_handle(env, index)
    yield from arm.move(shifted(grasp, (0, 0, 0.10)), speed_m_s=speed_m_s)
    yield from arm.move(grasp, speed_m_s=0.15, tolerance_m=0.006)
    yield from arm.grip(CLOSED)
    done.reach(f"handle{index}_held")
    yield from arm.wait_until(lambda: done["handle0_held"] and done["handle1_held"])
    yield from arm.move(shifted(grasp, (0, 0, LIFT_M)), speed_m_s=0.12, tolerance_m=0.03)
    yield from arm.wait(10)


def _grasp_on_handle(env: Any, index: int) -> Pose:
    """Gripper over the bar of handle `index`, pointing down, fingers opening across the bar (along the pot's y)."""
    data = env.sim.data
    site = (env.handle0_site_id, env.handle1_site_id)[index]
    outward: NDArray[np.float64] = data.body_xmat[env.pot_body_id].reshape(3, 3)[:, 1] * (1.0, -1.0)[index]
    return pose(data.site_xpos[site] + 0.005 * outward, downward(np.arctan2(outward[1], outward[0])))
