"""Moving source segments to where the objects are now, and interpolations between them (MimicGen, section 4.3).

A target keeps its pose in the reference object's frame: target_in_world' = object_now_in_world @ target_in_object.
The schemes of coordinated subtasks are DexMimicGen's (section IV-B): transform, replay, and translate, which keeps the
orientation that the source had.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots.rotations import between, distance, inverse, moved
from generators.simulation.task.specification import Pose, Scheme

Poses = NDArray[np.float64]


def carried(pose: Pose, object_then: Pose, object_now: Pose) -> Pose:
    """Where `pose` comes to lie when it moves with the object."""
    return object_now @ (inverse(object_then) @ pose)


def motion_of(scheme: Scheme, object_then: Pose, object_now: Pose) -> Pose:
    """The motion (4, 4) in the world that takes a source segment to the present."""
    if scheme == "replay":
        return np.eye(4)
    if scheme == "translate":
        motion = np.eye(4)
        motion[:3, 3] = object_now[:3, 3] - object_then[:3, 3]
        return motion
    return object_now @ inverse(object_then)


@dataclass(frozen=True, kw_only=True)
class Waypoints:
    """Absolute targets (N, 4, 4) in the world and hand commands (N, H) of one arm for N control steps. The first
    `interpolation` of them lead to the segment."""

    targets: Poses
    hands: NDArray[np.float64]
    interpolation: int

    def __len__(self) -> int:
        return len(self.targets)


def interpolation_length(start: Pose, end: Pose, *, step_m: float, step_rad: float, least: int) -> int:
    """Control steps between two targets so that none moves by more than `step_m` and `step_rad`; 0 when one will do."""
    metres, radians = distance(start, end)
    needed = max(metres / step_m, radians / step_rad)
    return 0 if needed <= 1.0 else max(least, int(np.ceil(needed)) - 1)


def interpolated(start: Pose, end: Pose, count: int) -> Poses:
    """`count` poses strictly between two, evenly spaced: position on a line, rotation about one axis."""
    motion = between(start, end)
    return np.stack([moved(start, motion * (step / (count + 1))) for step in range(1, count + 1)]).reshape(-1, 4, 4)


def with_interpolation(
    start: Pose, targets: Poses, hands: NDArray[np.float64], *, interpolation: int, fixed: int
) -> Waypoints:
    """A segment preceded by an interpolation from `start` and `fixed` repetitions of its first target. During the
    interpolation the hand holds the segment's first command."""
    pieces = [interpolated(start, targets[0], interpolation)] if interpolation else []
    pieces += [np.repeat(targets[:1], fixed, axis=0), targets]
    return Waypoints(
        targets=np.concatenate(pieces),
        hands=np.concatenate([np.repeat(hands[:1], interpolation + fixed, axis=0), hands]),
        interpolation=interpolation,
    )


def noisy(pose: Pose, position_m: float, rotation_rad: float, randomness: np.random.Generator) -> Pose:
    """`pose` with normal noise of these standard deviations along and about each axis."""
    draw = randomness.standard_normal(6)
    draw[:3] *= position_m
    draw[3:] *= rotation_rad
    return moved(pose, draw)
