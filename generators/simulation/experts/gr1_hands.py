"""The GR-1's hands for scripted experts: two arms that follow poses in the world, run in lock step.

A script is a generator that drives one `Hand` and yields once per control step; `play` turns what all hands are told
into joint targets. Nothing here writes to the simulation."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from generators.simulation.experts.waypoints import Pose, Script, Waits, distance, turned_z
from generators.simulation.robots import gr1
from generators.simulation.task.specification import Action

Side = Literal["right", "left"]

OPEN_RAD = gr1.REST_RAD["right_hand"]
"""Fingers straight, thumb across the palm."""
PALM_DEPTH_M = 0.03
"""From the wrist's frame to the surface of the palm."""

_PALM_INWARD = {
    # columns: x (the thumb is at -x on the right, at +x on the left), y (against the fingers), z (out of the palm)
    "right": np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]),
    "left": np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]),
}


def palm(side: Side, *, tilt_rad: float = 0.0, inward_rad: float = 0.0, droop_rad: float = 0.0) -> NDArray[np.float64]:
    """The rotation (3, 3) of a hand with its fingers forward and its palm towards the other hand, thumb up; then
    tilted so that the palm faces down (pi/2), with the fingers turned inward about the vertical, and drooping below
    the horizontal."""
    sign = 1.0 if side == "right" else -1.0
    tilted = Rotation.from_euler("y", sign * tilt_rad).as_matrix()
    drooping = Rotation.from_euler("y", droop_rad).as_matrix()
    return np.asarray(turned_z(sign * inward_rad) @ drooping @ _PALM_INWARD[side] @ tilted)


class Hand(Waits):
    """One arm and hand: `target` is the pose of its grip site in the world, `command` what its fingers are told."""

    def __init__(self, env: Any, actuation: gr1.JointTargetActuation, side: Side) -> None:
        self._env, self._actuation, self.side = env, actuation, side
        self.command = np.array(OPEN_RAD)
        self.target = self.pose

    @property
    def pose(self) -> Pose:
        """Where the grip site is now."""
        return self._actuation.poses()[self.side]

    def move(
        self,
        target: Pose,
        *,
        speed_m_s: float = 0.3,
        speed_rad_s: float = 1.8,
        tolerance_m: float = 0.01,
        patience_steps: int = 10,
    ) -> Script:
        """Go to a pose in a straight line at limited speed, then wait until it is reached or patience ends."""
        start = self.target
        metres, radians = distance(start, target)
        steps = max(1, int(np.ceil(max(metres / speed_m_s, radians / speed_rad_s) * self._env.control_freq)))
        turn = Rotation.from_matrix(target[:3, :3] @ start[:3, :3].T).as_rotvec()
        for step in range(1, steps + 1):
            self.target = start + (step / steps) * (target - start)
            self.target[:3, :3] = Rotation.from_rotvec(step / steps * turn).as_matrix() @ start[:3, :3]
            yield
        for _ in range(patience_steps):
            if distance(self.pose, target)[0] <= tolerance_m:
                return
            yield

    def grip(self, command_rad: Iterable[float], *, steps: int = 18) -> Script:
        """Give the fingers a new command and stay for `steps` while they move."""
        self.command = np.array(tuple(command_rad))
        yield from self.wait(steps)


def hands(env: Any) -> tuple[gr1.JointTargetActuation, dict[Side, Hand]]:
    """The actuation of a GR-1 environment and its two hands, where they are now."""
    actuation = gr1.JointTargetActuation(env, gr1.SIMULATED_GR1.arms)
    return actuation, {"right": Hand(env, actuation, "right"), "left": Hand(env, actuation, "left")}


def play(
    actuation: gr1.JointTargetActuation,
    both: Mapping[Side, Hand],
    scripts: Iterable[Script],
    signals: Callable[[], Mapping[str, bool]] = dict,
) -> Iterator[tuple[Action, Mapping[str, bool]]]:
    """Run the scripts in lock step until the last has ended; yields each action with the signals that hold before it.

    A hand whose script has ended keeps its last target. The caller steps the environment between two actions.
    """
    running, ended = list(scripts), object()
    while True:
        alive = [next(script, ended) is not ended for script in running]
        if not any(alive):
            return
        targets: dict[str, Pose] = {side: hand.target for side, hand in both.items()}
        commands: dict[str, NDArray[np.float64]] = {side: hand.command for side, hand in both.items()}
        yield actuation.action(targets, commands), signals()
