"""Expert for the tray: each hand hooks its four fingers under one handle, then both lift the tray level."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from generators.simulation.environments.tray_lift import BAR_OUT_M, BAR_UP_M
from generators.simulation.experts.inspire_hands import HOOK, OPEN, hand_at, hanging
from generators.simulation.experts.waypoints import Milestones, Script, ScriptedArm, play, shifted
from generators.simulation.task.specification import Action

LIFT_M = 0.20
BAR_IN_HAND_M = (0.0, -0.088, 0.030)
OUTSIDE_M = 0.06
"""How far beside the bar the hand goes down before it moves in."""


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    arms = [ScriptedArm(env, 0, open_hand=OPEN), ScriptedArm(env, 1, open_hand=OPEN)]
    done = Milestones("right_ready", "left_ready")
    speed_m_s = rng.uniform(0.20, 0.28)
    yield from play(arms, [_lift(env, arms[robot], robot, done, speed_m_s) for robot in (0, 1)], done)


def _lift(env: Any, arm: ScriptedArm, robot: int, done: Milestones, speed_m_s: float) -> Script:
    tray = env.sim.model.body_name2id(env.tray.root_body)
    rotation = env.sim.data.body_xmat[tray].reshape(3, 3)
    side = (-1.0, 1.0)[robot]
    bar = env.sim.data.body_xpos[tray] + rotation @ (0, side * BAR_OUT_M, BAR_UP_M)
    hook = hand_at(bar, hanging(robot, np.arctan2(rotation[1, 0], rotation[0, 0])), BAR_IN_HAND_M)
    beside = shifted(hook, -OUTSIDE_M * hook[:3, 2])
    yield from arm.move(shifted(beside, (0, 0, 0.10)), speed_m_s=speed_m_s)
    yield from arm.move(beside, speed_m_s=0.2)
    yield from arm.move(hook, speed_m_s=0.12, tolerance_m=0.006)
    yield from arm.grip(HOOK, steps=20)
    done.reach(("right_ready", "left_ready")[robot])
    yield from arm.wait_until(lambda: done["right_ready"] and done["left_ready"])
    yield from arm.move(shifted(hook, (0, 0, LIFT_M)), speed_m_s=0.10, tolerance_m=0.03)
    yield from arm.wait(10)
