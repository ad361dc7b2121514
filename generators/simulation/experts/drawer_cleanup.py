"""Expert for the drawer: the right hand pulls it open, the left drops the carton in, the right pushes it shut."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.environments.drawer_cleanup import BAR_IN_DRAWER_M, PLACE_IN_DRAWER_M, TRAVEL_M
from generators.simulation.experts.inspire_hands import HOOK, OPEN, hand_at, hanging
from generators.simulation.experts.waypoints import Milestones, Pose, Script, ScriptedArm, play, pose, shifted
from generators.simulation.task.specification import Action

PINCH_READY = (-1.0, -1.0, -1.0, -1.0, -1.0, 1.0)
PINCH = (0.2, 0.2, 0.2, 0.2, 1.0, 1.0)
BAR_IN_HAND_M = (0.0, -0.088, 0.032)
KNUCKLES_IN_HAND_M = (0.0, -0.100, -0.035)
"""Where the bar touches the back of the hand that pushes it."""
CARTON_IN_HAND_M = (0.012, -0.118, 0.045)
ASIDE_M = np.array([-0.30, -0.32, 1.15])


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    arms = [ScriptedArm(env, 0, open_hand=OPEN), ScriptedArm(env, 1, open_hand=OPEN)]
    done = Milestones("opened", "aside", "carton_held", "carton_dropped")
    speed_m_s = rng.uniform(0.20, 0.28)
    yield from play(arms, [_drawer(env, arms[0], done, speed_m_s), _carton(env, arms[1], done, speed_m_s)], done)


def _drawer(env: Any, arm: ScriptedArm, done: Milestones, speed_m_s: float) -> Script:
    cabinet = _body(env, env.drawer_body)
    facing = hanging(0, np.pi / 2 + np.arctan2(cabinet[1, 0], cabinet[0, 0]))
    hook = hand_at(_point(cabinet, BAR_IN_DRAWER_M), facing, BAR_IN_HAND_M)
    yield from arm.move(shifted(hook, (0, 0, 0.13)), speed_m_s=speed_m_s)
    yield from arm.move(hook, speed_m_s=0.15, tolerance_m=0.008)
    yield from arm.grip(HOOK, steps=15)
    pulled = shifted(hook, -(TRAVEL_M + 0.02) * cabinet[:3, 0])
    yield from arm.move(pulled, speed_m_s=0.12, tolerance_m=0.03)
    done.reach("opened")
    yield from arm.grip(OPEN, steps=15)
    yield from arm.move(shifted(pulled, (0, 0, 0.15)), tolerance_m=0.03)
    yield from arm.move(pose(ASIDE_M, facing), tolerance_m=0.05)
    done.reach("aside")
    yield from arm.wait_until(lambda: done["carton_dropped"])
    drawer = _body(env, env.drawer_body)
    touch = hand_at(_point(drawer, BAR_IN_DRAWER_M), facing, KNUCKLES_IN_HAND_M)
    before = shifted(touch, -0.05 * drawer[:3, 0])
    yield from arm.move(shifted(before, (0, 0, 0.10)), speed_m_s=speed_m_s)
    yield from arm.move(before, speed_m_s=0.2)
    yield from arm.move(shifted(touch, (TRAVEL_M + 0.03) * drawer[:3, 0]), speed_m_s=0.15, tolerance_m=0.01)
    yield from arm.wait(8)


def _carton(env: Any, arm: ScriptedArm, done: Milestones, speed_m_s: float) -> Script:
    carton = _body(env, env.carton.root_body)
    rotation = hanging(1, np.arctan2(carton[1, 0], carton[0, 0]))
    grasp = hand_at(carton[:3, 3], rotation, CARTON_IN_HAND_M)
    arm.gripper = np.asarray(PINCH_READY)
    yield from arm.move(shifted(grasp, (0, 0, 0.14)), speed_m_s=speed_m_s)
    yield from arm.move(grasp, speed_m_s=0.15, tolerance_m=0.006)
    yield from arm.grip(PINCH, steps=20)
    yield from arm.move(shifted(grasp, (0, 0, 0.22)), speed_m_s=0.2, tolerance_m=0.03)
    yield from arm.wait_until(lambda: done["aside"])
    done.reach("carton_held")
    drawer = _body(env, env.drawer_body)
    drop_rotation = hanging(1, np.arctan2(drawer[1, 0], drawer[0, 0]))
    drop = shifted(hand_at(_point(drawer, PLACE_IN_DRAWER_M), drop_rotation, CARTON_IN_HAND_M), (0, 0, 0.12))
    yield from arm.move(shifted(drop, (0, 0, 0.14)), speed_m_s=speed_m_s, tolerance_m=0.03)
    yield from arm.move(drop, speed_m_s=0.15)
    yield from arm.grip(PINCH_READY, steps=15)
    yield from arm.move(shifted(drop, (0, 0, 0.16)), tolerance_m=0.03)
    yield from arm.move(shifted(drop, (-0.12, 0.22, 0.20)), speed_m_s=speed_m_s, tolerance_m=0.05)
    done.reach("carton_dropped")


def _body(env: Any, name: str) -> Pose:
    body = env.sim.model.body_name2id(name)
    return pose(env.sim.data.body_xpos[body], env.sim.data.body_xmat[body].reshape(3, 3))


def _point(frame: Pose, point_in_frame_m: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(frame[:3, 3] + frame[:3, :3] @ np.asarray(point_in_frame_m))
