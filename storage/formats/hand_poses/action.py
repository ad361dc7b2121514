"""57 numbers of how a person's head and hands move from one step to the next, so that people and robots share motion of
the wrist.

    0-2, 3-8      camera: translation and rotation to its next pose, in its own frame
    9-11, 12-17   right wrist: the same, both poses in the world
    18-32         right fingertips, thumb to little finger, in the right wrist of the next step
    33-35 ... 56  left wrist and fingertips

A wrist is the recorded one turned by WRIST_TURN, the same for both hands: x from the thumb to the little finger, y out
of the palm, z to the fingertips. A rotation is six numbers: the first two columns of its matrix, or the first two rows
as GR00T has them (Zhou et al., arXiv 1812.07035).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from storage.formats.hand_poses.poses import LEFT, RIGHT, TIPS, HandPoses, inverse

SIZE = 57
Rot6d = Literal["columns", "rows"]
WRIST_TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
Poses = NDArray[np.float64]


def hand_action(poses: HandPoses, form: Rot6d) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(action (T, 57) float32, valid (T,)): what leads from each step to the next. The last step has none; it, and
    steps at which anything was not recorded, are zero and not valid."""
    now, later = slice(0, -1), slice(1, None)
    wrists = aligned_wrists(poses)
    parts = [_change(poses.camera[now], poses.camera[later], form)]
    for side in (RIGHT, LEFT):
        parts.append(_change(wrists[now, side], wrists[later, side], form))
        parts.append(_tips(poses, wrists, side)[later])
    return _rows(np.concatenate(parts, axis=1), len(poses))


def hand_state(poses: HandPoses, form: Rot6d) -> NDArray[np.float32]:
    """(T, 57) float32: the camera from its first pose, wrists in the camera, fingertips in the wrist; zero where
    something was not recorded."""
    wrists = aligned_wrists(poses)
    finite = np.flatnonzero(np.isfinite(poses.camera).all(axis=(1, 2)))
    first = poses.camera[finite[0]] if len(finite) else np.full((4, 4), np.nan)
    parts = [_pose(inverse(first[None]) @ poses.camera, form)]
    for side in (RIGHT, LEFT):
        parts.append(_pose(inverse(poses.camera) @ wrists[:, side], form))
        parts.append(_tips(poses, wrists, side))
    return np.nan_to_num(np.concatenate(parts, axis=1)).astype(np.float32)


def aligned_wrists(poses: HandPoses) -> Poses:
    """(T, 2, 4, 4): the wrists in the world, turned to the axes of the action."""
    wrists = poses.joints[:, :, 0].copy()
    wrists[..., :3, :3] = wrists[..., :3, :3] @ WRIST_TURN
    return wrists


def rot6d(rotation: NDArray[np.float64], form: Rot6d) -> NDArray[np.float64]:
    """(..., 6) from matrices (..., 3, 3): column 0 and then column 1, or row 0 and then row 1."""
    matrix = np.swapaxes(rotation, -1, -2) if form == "columns" else rotation
    return matrix[..., :2, :].reshape(*rotation.shape[:-2], 6)


def rotation_of(numbers: NDArray[np.float64], form: Rot6d) -> NDArray[np.float64]:
    """(..., 3, 3): the inverse of `rot6d`, made orthogonal by Gram and Schmidt."""
    first, second = numbers[..., :3], numbers[..., 3:]
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    y = second - (x * second).sum(axis=-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    rows = np.stack([x, y, np.cross(x, y)], axis=-2)
    return np.swapaxes(rows, -1, -2) if form == "columns" else rows


def _pose(poses: Poses, form: Rot6d) -> NDArray[np.float64]:
    return np.concatenate([poses[..., :3, 3], rot6d(poses[..., :3, :3], form)], axis=-1)


def _change(now: Poses, later: Poses, form: Rot6d) -> NDArray[np.float64]:
    return _pose(inverse(now) @ later, form)


def _tips(poses: HandPoses, wrists: Poses, side: int) -> NDArray[np.float64]:
    """(T, 15): the fingertips of a hand in its wrist of the same step."""
    tips = poses.joints[:, side, list(TIPS)][..., :, 3]
    local = inverse(wrists[:, side])[:, None] @ tips[..., None]
    return local[..., :3, 0].reshape(len(tips), 15)


def _rows(changes: NDArray[np.float64], steps: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`changes` of all steps but the last as rows of all steps."""
    action = np.zeros((steps, SIZE), np.float32)
    valid = np.zeros(steps, bool)
    valid[:-1] = np.isfinite(changes).all(axis=1)
    action[:-1] = np.where(valid[:-1, None], changes, 0.0)
    return action, valid
