"""Experts of the tabletop suite: one hand takes a thing from a receptacle and puts it on or into another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.environments.tabletop_catalog import Thing
from generators.simulation.experts.gr1_hands import OPEN_RAD, PALM_DEPTH_M, Hand, Side, hands, palm, play
from generators.simulation.experts.waypoints import Pose, Script, pose, shifted
from generators.simulation.task.specification import Action

LIFT_M = 0.12
HAND_BELOW_M = 0.05
"""How far a hand with its palm to the side reaches below its wrist."""
FALL_M = 0.008
"""Where a thing is let go: so far above the floor."""


def rearrange(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, Mapping[str, bool]]]:
    """The hand that is nearer takes "object" from "source" to "target"; the other one rests."""
    side: Side = "right" if env.pose("source")[1, 3] < env.pose("target")[1, 3] else "left"
    actuation, both = hands(env)
    hand = both[side]

    def script() -> Script:
        yield from take(env, hand, "object", rng)
        yield from put(env, hand, "object", "target")

    return play(actuation, both, [script()])


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What differs between two demonstrations of the same movement."""

    inward_rad: float
    along_m: float
    speed: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Variation":
        return cls(
            inward_rad=float(rng.uniform(0.0, 0.2)),
            along_m=float(rng.uniform(-0.006, 0.006)),
            speed=float(rng.uniform(0.85, 1.15)),
        )


def take(env: Any, hand: Hand, key: str, rng: np.random.Generator, *, lift_m: float = LIFT_M) -> Script:
    """Reach for a thing, close the hand around it and lift it."""
    thing, variation = env.thing(key), Variation.draw(rng)
    speed = 0.3 * variation.speed
    grasp = grasp_pose(env.pose(key), thing, hand, variation)
    ready = shifted(grasp, approach(thing, grasp))
    over = max(0.08, env.pose(key)[2, 3] + thing.top_m + HAND_BELOW_M - ready[2, 3])
    yield from hand.move(shifted(ready, (0.0, 0.0, over)), speed_m_s=speed)
    yield from hand.move(ready, speed_m_s=speed)
    yield from hand.move(grasp, speed_m_s=0.5 * speed, tolerance_m=0.006)
    yield from hand.grip(thing.grasp.close_rad)
    yield from hand.move(shifted(grasp, (0.0, 0.0, lift_m)), speed_m_s=0.8 * speed)


def grasp_pose(thing_in_world: Pose, thing: Thing, hand: Hand, variation: Variation) -> Pose:
    """Where the hand closes around a thing."""
    grasp = thing.grasp
    rotation = palm(hand.side, tilt_rad=grasp.tilt_rad, inward_rad=variation.inward_rad)
    in_hand = (0.0, -grasp.along_m + variation.along_m, PALM_DEPTH_M + grasp.radius_m)
    middle = thing_in_world[:3, 3] + (0.0, 0.0, grasp.height_m)
    return pose(middle - rotation @ in_hand, rotation)


def approach(thing: Thing, grasp: Pose) -> NDArray[np.float64]:
    """From the grasp to where the hand comes from: above, or behind and beside a thing that is taken from the side."""
    if thing.grasp.tilt_rad > 0.3:
        return np.array([0.0, 0.0, 0.09])
    return np.asarray(grasp[:3, :3] @ (0.0, 0.07, -0.03))


def put(env: Any, hand: Hand, key: str, target: str) -> Script:
    """Carry what the hand holds over a receptacle, lower it, let go and withdraw."""
    place = let_go_pose(env, hand, key, target)
    above = place.copy()
    above[2, 3] = max(place[2, 3] + 0.06, hand.target[2, 3])
    yield from hand.move(above, speed_m_s=0.3)
    yield from hand.move(place, speed_m_s=0.15)
    yield from hand.grip(OPEN_RAD, steps=14)
    tilt = env.thing(key).grasp.tilt_rad
    back = place[:3, :3] @ (0.0, 0.05, -0.05) if tilt < 0.3 else np.zeros(3)
    beside = shifted(place, back)
    yield from hand.move(shifted(beside, (0.0, 0.0, 0.02)), speed_m_s=0.2)
    yield from hand.move(shifted(beside, (0.0, 0.0, 0.14)), speed_m_s=0.3)
    yield from hand.wait(10)


def let_go_pose(env: Any, hand: Hand, key: str, target: str) -> Pose:
    """The hand's pose that brings what it holds over the middle of a receptacle, as low as its walls allow."""
    thing, receptacle, goal = env.thing(key), env.receptacle(target), env.pose(target)
    offset = env.pose(key)[:3, 3] - hand.pose[:3, 3]
    bottom = receptacle.floor_m + FALL_M
    if receptacle.preposition == "in":
        below = offset[2] + HAND_BELOW_M if thing.grasp.tilt_rad < 0.3 else thing.bottom_m + 0.005
        bottom = max(bottom, receptacle.wall_m + below - thing.bottom_m)
    middle = goal[:3, 3] + (0.0, 0.0, bottom + thing.bottom_m)
    return pose(middle - offset, hand.target[:3, :3])
