"""Experts of the tabletop tasks for two hands: carry together, clear then place, hand over."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.experts.gr1_hands import OPEN_RAD, Hand, Side, hands, palm, play
from generators.simulation.experts.gr1_tabletop import LIFT_M, Variation, grasp_pose, put, take
from generators.simulation.experts.waypoints import Milestones, Pose, Script, pose, shifted
from generators.simulation.task.specification import Action

Steps = Iterator[tuple[Action, Mapping[str, bool]]]

FLAT_RAD = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""Fingers straight, thumb along the side of the palm."""
PRESS_M = 0.016
"""How far inside the crate the palms aim: the joints' stiffness makes about 40 N of it."""
_PALM_MIDDLE_M = 0.075
"""How far the middle of the palm lies in front of the wrist."""
_MEETING_M = (-0.2, 0.0, 1.16)
"""Where the hands meet to hand over: the middle of the thing."""


def carry(env: Any, rng: np.random.Generator) -> Steps:
    """Both palms press "object" from its sides, lift it from "source" and put it down on "target"."""
    actuation, both = hands(env)
    done, speed = Milestones("gripped", "right_pressed", "left_pressed"), float(rng.uniform(0.85, 1.15))
    drop = float(rng.uniform(-0.008, 0.008))

    def script(side: Side) -> Script:
        hand, outward = both[side], np.array([0.0, -1.0 if side == "right" else 1.0, 0.0])
        hand.command = np.array(FLAT_RAD)
        crate, half_width = env.pose("object"), env.thing("object").grasp.radius_m
        rotation = _along(crate) @ palm(side)
        side_axis = _along(crate) @ outward
        ahead = _along(crate) @ (-_PALM_MIDDLE_M, 0.0, drop)
        pressing = pose(crate[:3, 3] + ahead + (half_width + 0.03 - PRESS_M) * side_axis, rotation)
        beside = shifted(pressing, (0.04 + PRESS_M) * side_axis)
        yield from hand.move(shifted(beside, (0.0, 0.0, 0.12)), speed_m_s=0.3 * speed)
        yield from hand.move(beside, speed_m_s=0.25 * speed)
        yield from hand.move(pressing, speed_m_s=0.12, patience_steps=6)
        done.reach(f"{side}_pressed")
        yield from hand.wait_until(lambda: done["right_pressed"] and done["left_pressed"])
        done.reach("gripped")
        yield from hand.wait(2)
        yield from hand.move(shifted(pressing, (0.0, 0.0, LIFT_M)), speed_m_s=0.2, patience_steps=0)
        yield from hand.wait(3)
        crate_in_hand = np.linalg.inv(pressing) @ crate
        goal = np.eye(4)
        goal[:3, :3] = _along(env.pose("target"))
        goal[:3, 3] = env.pose("target")[:3, 3]
        goal[2, 3] += env.receptacle("target").floor_m + env.thing("object").bottom_m + 0.006
        place = goal @ np.linalg.inv(crate_in_hand)
        above = shifted(place, (0.0, 0.0, LIFT_M - 0.03))
        yield from hand.move(above, speed_m_s=0.2 * speed, patience_steps=0)
        yield from hand.wait(4)
        yield from hand.move(place, speed_m_s=0.12, patience_steps=0)
        yield from hand.wait(4)
        away = goal[:3, :3] @ outward
        yield from hand.move(shifted(place, 0.07 * away), speed_m_s=0.15)
        yield from hand.move(shifted(place, 0.07 * away + np.array([0.0, 0.0, 0.12])), speed_m_s=0.3)
        yield from hand.wait(6)

    return play(actuation, both, [script("right"), script("left")], done.signals)


def _along(thing: Pose) -> NDArray[np.float64]:
    """The rotation about the vertical that a thing has."""
    yaw = np.arctan2(thing[1, 0], thing[0, 0])
    return np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])


def clear_then_place(env: Any, rng: np.random.Generator) -> Steps:
    """The left hand moves "obstacle" from "target" to "aside" while the right one takes "object"; then the right one
    puts it on "target"."""
    actuation, both = hands(env)
    done = Milestones("out_of_the_way")

    def left() -> Script:
        yield from take(env, both["left"], "obstacle", rng)
        yield from put(env, both["left"], "obstacle", "aside")
        done.reach("out_of_the_way")

    def right() -> Script:
        yield from take(env, both["right"], "object", rng)
        yield from both["right"].wait_until(lambda: done["out_of_the_way"])
        yield from put(env, both["right"], "object", "target")

    return play(actuation, both, [right(), left()], done.signals)


def hand_over(env: Any, rng: np.random.Generator) -> Steps:
    """The right hand takes "object" low and brings it to the middle, the left one takes it high and puts it down."""
    actuation, both = hands(env)
    done, variation = Milestones("offered", "caught", "free"), Variation.draw(rng)
    thing = env.thing("object")

    def right() -> Script:
        hand = both["right"]
        yield from take(env, hand, "object", rng)
        offset = env.pose("object")[:3, 3] - hand.pose[:3, 3]
        yield from hand.move(pose(np.array(_MEETING_M) - offset, hand.target[:3, :3]), speed_m_s=0.3)
        done.reach("offered")
        yield from hand.wait_until(lambda: done["caught"])
        yield from hand.grip(OPEN_RAD, steps=16)
        back = hand.target[:3, :3] @ (0.0, 0.04, -0.06)
        yield from hand.move(shifted(hand.target, back), speed_m_s=0.2)
        yield from hand.move(shifted(hand.target, (-0.06, -0.12, 0.0)), speed_m_s=0.3)
        done.reach("free")

    def left() -> Script:
        hand = both["left"]
        yield from hand.wait_until(lambda: done["offered"])
        grasp = _upper_grasp(env.pose("object"), hand, variation, env)
        ready = shifted(grasp, grasp[:3, :3] @ (0.0, 0.08, -0.05))
        yield from hand.move(ready, speed_m_s=0.3)
        yield from hand.move(grasp, speed_m_s=0.15, tolerance_m=0.006)
        yield from hand.grip(thing.grasp.close_rad, steps=20)
        done.reach("caught")
        yield from hand.wait_until(lambda: done["free"])
        yield from put(env, hand, "object", "target")

    return play(actuation, both, [right(), left()], done.signals)


def _upper_grasp(thing_in_world: Pose, hand: Hand, variation: Variation, env: Any) -> Pose:
    """The grasp of a thing's upper half."""
    low = grasp_pose(thing_in_world, env.thing("object"), hand, variation)
    return shifted(low, (0.0, 0.0, -2.0 * env.thing("object").grasp.height_m))
