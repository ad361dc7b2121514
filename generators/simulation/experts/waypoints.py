"""Scripted experts: arms that follow waypoints through the environment's own controller.

An expert is one script per arm: a generator that drives one `ScriptedArm` and yields once per control step. `play`
runs the scripts of all arms in lock step and yields the actions; the caller steps the environment. Nothing here
writes to the simulation. Poses are 4x4 matrices in the world frame.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from storage.errors import UnknownNameError

Pose = NDArray[np.float64]
Script = Iterator[None]


def pose(position: Iterable[float], rotation: NDArray[np.float64]) -> Pose:
    """A 4x4 pose from a position (3,) in metres and a rotation matrix (3, 3)."""
    matrix = np.eye(4)
    matrix[:3, 3] = np.asarray(position, dtype=np.float64)
    matrix[:3, :3] = rotation
    return matrix


def shifted(start: Pose, offset: Iterable[float]) -> Pose:
    """`start` moved by `offset` (3,) along the axes of the world."""
    moved = start.copy()
    moved[:3, 3] += np.asarray(offset, dtype=np.float64)
    return moved


def turned_z(angle_rad: float) -> NDArray[np.float64]:
    """The rotation (3, 3) about the vertical axis."""
    return np.asarray(Rotation.from_euler("z", angle_rad).as_matrix())


def downward(heading_rad: float) -> NDArray[np.float64]:
    """The rotation (3, 3) of an end-effector whose z points down and whose x lies at a heading from the world's x."""
    return np.asarray(turned_z(heading_rad) @ np.diag([1.0, -1.0, -1.0]))


def leaning(rotation: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    """A rotation (3, 3) turned about the world's x axis."""
    return np.asarray(Rotation.from_euler("x", angle_rad).as_matrix() @ rotation)


def distance(from_pose: Pose, to_pose: Pose) -> tuple[float, float]:
    """How far two poses are apart: metres, radians."""
    metres = float(np.linalg.norm(to_pose[:3, 3] - from_pose[:3, 3]))
    return metres, float(np.linalg.norm(_rotation_between(from_pose, to_pose)))


def _rotation_between(from_pose: Pose, to_pose: Pose) -> NDArray[np.float64]:
    """Rotation vector (3,) in the world frame that turns `from_pose` into `to_pose`."""
    return np.asarray(Rotation.from_matrix(to_pose[:3, :3] @ from_pose[:3, :3].T).as_rotvec())


class Waits:
    """What every arm of a script can do: stay where it is."""

    def wait(self, steps: int) -> Script:
        """Stay for a number of control steps."""
        for _ in range(steps):
            yield

    def wait_until(self, condition: Callable[[], bool], *, at_most_steps: int = 400) -> Script:
        """Stay until `condition` holds, at least one step and at most `at_most_steps`."""
        for _ in range(at_most_steps):
            yield
            if condition():
                return


class ScriptedArm(Waits):
    """The arm of one robot under OSC pose-delta control; `open_hand` is its first hand command (empty: no hand).

    `target_in_world` and `gripper` are what the arm is told at every step; the routines below change them over time.
    A routine is an iterator over control steps: `yield from arm.move(...)` inside a script.
    """

    def __init__(self, env: Any, robot: int, *, open_hand: Iterable[float] = (-1.0,)) -> None:
        self._env = env
        self._controller = env.robots[robot].part_controllers["right"]
        self._site = env.sim.model.site_name2id(self._controller.ref_name)
        self._limit = np.asarray(self._controller.output_max, dtype=np.float64)
        self.gripper = np.asarray(tuple(open_hand), dtype=np.float64)
        self.target_in_world = self.pose_in_world

    @property
    def pose_in_world(self) -> Pose:
        """Where the end-effector (the controller's site) is now."""
        data = self._env.sim.data
        return pose(data.site_xpos[self._site], data.site_xmat[self._site].reshape(3, 3))

    def action(self) -> NDArray[np.float64]:
        """This arm's slice of the action: pose delta in the robot's base frame, scaled to [-1, 1], then the gripper."""
        now, base = self.pose_in_world, np.asarray(self._controller.origin_ori)
        delta = np.concatenate(
            [
                base.T @ (self.target_in_world[:3, 3] - now[:3, 3]),
                base.T @ _rotation_between(now, self.target_in_world),
            ]
        )
        return np.concatenate([np.clip(delta / self._limit, -1.0, 1.0), self.gripper])

    def move(
        self,
        target_in_world: Pose,
        *,
        speed_m_s: float = 0.25,
        speed_rad_s: float = 1.5,
        tolerance_m: float = 0.01,
        tolerance_rad: float = 0.1,
        patience_steps: int = 20,
    ) -> Script:
        """Go to a pose in a straight line at limited speed, then wait until it is reached or patience ends."""
        start = self.target_in_world
        metres, radians = distance(start, target_in_world)
        rate_hz = float(self._env.control_freq)
        steps = max(1, int(np.ceil(max(metres / speed_m_s, radians / speed_rad_s) * rate_hz)))
        turn = _rotation_between(start, target_in_world)
        for step in range(1, steps + 1):
            share = step / steps
            position = (1 - share) * start[:3, 3] + share * target_in_world[:3, 3]
            rotation = np.asarray(Rotation.from_rotvec(share * turn).as_matrix()) @ start[:3, :3]
            self.target_in_world = pose(position, rotation)
            yield
        for _ in range(patience_steps):
            metres, radians = distance(self.pose_in_world, target_in_world)
            if metres <= tolerance_m and radians <= tolerance_rad:
                return
            yield

    def grip(self, command: Iterable[float], *, steps: int = 12) -> Script:
        """Give the hand a new command and stay for `steps` while it moves."""
        self.gripper = np.asarray(tuple(command), dtype=np.float64)
        yield from self.wait(steps)


class Milestones:
    """What the scripts of an episode have achieved so far; recorded beside every action as end signals."""

    def __init__(self, *names: str) -> None:
        self._reached = dict.fromkeys(names, False)

    def reach(self, name: str) -> None:
        """Say that `name`, one of the declared names, has been achieved."""
        if name not in self._reached:
            raise UnknownNameError.among("milestone", name, self._reached)
        self._reached[name] = True

    def __getitem__(self, name: str) -> bool:
        return self._reached[name]

    def signals(self) -> dict[str, bool]:
        return dict(self._reached)


def play(
    arms: Sequence[ScriptedArm], scripts: Sequence[Script], milestones: Milestones
) -> Iterator[tuple[NDArray[np.float32], dict[str, bool]]]:
    """Run the scripts in lock step until the last has ended; yields each action with the milestones reached before it.

    An arm whose script has ended keeps its last target. The scripts advance when the next action is asked for, so the
    caller steps the environment in between.
    """
    ended = object()
    while True:
        alive = [next(script, ended) is not ended for script in scripts]
        if not any(alive):
            return
        yield np.concatenate([arm.action() for arm in arms]).astype(np.float32), milestones.signals()
