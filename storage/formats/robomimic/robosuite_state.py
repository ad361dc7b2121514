"""Robosuite's proprioception keys (`robot0_eef_pos`, ...) against the state vectors of our Panda embodiments.

The pose is that of the grip site in the world frame. A rotation of six numbers is the first two columns of the
rotation matrix, one after the other (Zhou et al., "On the Continuity of Rotation Representations in Neural Networks",
section 4). robosuite writes quaternions as x, y, z, w.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import Embodiment

# Part of our state -> the keys that give it, the better one first.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "end_effector_position": ("eef_pos",),
    "end_effector_rotation": ("eef_quat_site", "eef_quat"),
    "gripper": ("gripper_qpos",),
    "arm_joints": ("joint_pos",),
}
_ROBOTS = {"panda": ("",), "two_pandas": ("robot0_", "robot1_")}


def read_state(
    embodiment: Embodiment, observations: Mapping[str, Any], rows: int | None = None
) -> NDArray[np.float32] | None:
    """The state (T, D) of `embodiment`, from a whole vector `state` or from robosuite's keys; None without them.

    `rows` reads the first so many only."""
    whole = observations.get("state")
    if whole is not None and whole.ndim == 2 and whole.shape[1] == embodiment.state.size:
        return np.asarray(whole[:rows], np.float32)
    pieces = []
    for part in embodiment.state.parts:
        key = _source_key(embodiment, part.name, observations)
        if key is None:
            return None
        values = np.asarray(observations[key][:rows], np.float64)
        values = rotation_6d(values) if part.quantity == "rotation_6d" else values.reshape(len(values), -1)
        if values.shape[1] != part.size:
            return None
        pieces.append(values)
    return np.concatenate(pieces, axis=1).astype(np.float32) if pieces else None


def source_keys(embodiment: Embodiment, observations: Mapping[str, Any]) -> list[str]:
    """The keys of `observations` that give the state of `embodiment`, one a part; [] where one is missing."""
    keys = [_source_key(embodiment, part.name, observations) for part in embodiment.state.parts]
    return [] if None in keys else [str(key) for key in keys]


def is_readable(embodiment: Embodiment, observations: Mapping[str, Any]) -> bool:
    """Whether `observations` have a key for every part of the state of `embodiment`."""
    return bool(source_keys(embodiment, observations))


def _source_key(embodiment: Embodiment, part: str, observations: Mapping[str, Any]) -> str | None:
    for robot, prefix in enumerate(_ROBOTS.get(embodiment.name, ())):
        name = part.removeprefix(prefix)
        if part.startswith(prefix) and name in _KEYS:
            return next((key for key in (f"robot{robot}_{k}" for k in _KEYS[name]) if key in observations), None)
    return None


def split_state(embodiment: Embodiment, state: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Observation keys that others understand: robosuite's for our Pandas, the names of the parts for other bodies."""
    out: dict[str, NDArray[Any]] = {}
    for part, span in embodiment.state:
        values = state[:, span]
        for robot, prefix in enumerate(_ROBOTS.get(embodiment.name, ())):
            name = part.name.removeprefix(prefix)
            if part.name.startswith(prefix) and name in _KEYS:
                rotated = part.quantity == "rotation_6d"
                out[f"robot{robot}_{_KEYS[name][0]}"] = quaternion_xyzw(values) if rotated else values
                break
        else:
            out[part.name] = values
    return out


def rotation_6d(quaternion_xyzw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternions (T, 4), x y z w, as the first two columns of their matrices, (T, 6)."""
    x, y, z, w = (quaternion_xyzw / np.linalg.norm(quaternion_xyzw, axis=1, keepdims=True)).T
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], axis=1)
    second = np.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], axis=1)
    return np.concatenate([first, second], axis=1)


def quaternion_xyzw(rotation_6d: NDArray[Any]) -> NDArray[np.float64]:
    """The inverse of `rotation_6d`, with w >= 0; the columns are made orthogonal and of length one first."""
    first = rotation_6d[:, :3].astype(np.float64)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = rotation_6d[:, 3:].astype(np.float64)
    second = second - (first * second).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    third = np.cross(first, second)
    # Squares of the four components; the largest one is safe to divide by.
    squares = 0.25 * np.stack(
        [
            1 + first[:, 0] - second[:, 1] - third[:, 2],
            1 - first[:, 0] + second[:, 1] - third[:, 2],
            1 - first[:, 0] - second[:, 1] + third[:, 2],
            1 + first[:, 0] + second[:, 1] + third[:, 2],
        ],
        axis=1,
    )
    # Products of two components, times four, as the matrix gives them.
    xy, xz, yz = first[:, 1] + second[:, 0], first[:, 2] + third[:, 0], second[:, 2] + third[:, 1]
    xw, yw, zw = second[:, 2] - third[:, 1], third[:, 0] - first[:, 2], first[:, 1] - second[:, 0]
    four = 4 * squares
    rows = np.stack(
        [
            np.stack([four[:, 0], xy, xz, xw], axis=1),
            np.stack([xy, four[:, 1], yz, yw], axis=1),
            np.stack([xz, yz, four[:, 2], zw], axis=1),
            np.stack([xw, yw, zw, four[:, 3]], axis=1),
        ],
        axis=1,
    )
    best = rows[np.arange(len(rows)), squares.argmax(axis=1)]
    best /= np.linalg.norm(best, axis=1, keepdims=True)
    positive: NDArray[np.float64] = np.where(best[:, 3:] < 0, -best, best)
    return positive
