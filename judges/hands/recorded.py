"""Recorded poses as labels: hands in the camera's frame, the camera's pose, flags, and the 57-number action."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.hands.tracks import LEFT_OBSERVED, LEFT_PRESENT, LEFT_RELIABLE
from storage.formats.hand_poses.action import Rot6d, hand_action, hand_state
from storage.formats.hand_poses.lifted import read_hand_poses
from storage.formats.hand_poses.poses import HandPoses

OBSERVED, RELIABLE = 0.1, 0.5
"""Least confidence of a hand that counts as seen, and as measured well."""


def read_poses(path: Path, source_frame: NDArray[np.int64]) -> HandPoses:
    """The poses of the frames `source_frame` of a recording; raises MissingFileError or CorruptFileError."""
    return read_hand_poses(path).at(source_frame)


def pose_labels(poses: HandPoses) -> dict[str, NDArray[Any]]:
    """Of T steps: label/hand_joints, label/hand_rotations, label/camera_pose, and the 2-D labels that follow from them.
    Where a hand was not recorded everything is zero, and its flags are off."""
    present = poses.present
    inside = poses.in_camera()
    flags = np.zeros(len(poses), np.uint8)
    for side in (0, 1):
        for bit, where in (
            (LEFT_PRESENT, present[:, side]),
            (LEFT_OBSERVED, present[:, side] & (poses.confidence[:, side] >= OBSERVED)),
            (LEFT_RELIABLE, present[:, side] & (poses.confidence[:, side] >= RELIABLE)),
        ):
            flags |= np.where(where, bit << side, 0).astype(np.uint8)
    camera = np.concatenate([poses.camera[:, :3, 3], quaternions(poses.camera[:, :3, :3])], axis=1)
    rotations = quaternions(inside[..., :3, :3])
    if poses.wrists_only:
        rotations[:, :, 1:] = 0.0
    return {
        "label/hand_joints": np.nan_to_num(inside[..., :3, 3]).astype(np.float32),
        "label/hand_rotations": rotations.astype(np.float32),
        **({"label/camera_pose": np.nan_to_num(camera).astype(np.float32)} if poses.in_world else {}),
        "label/hand_landmarks": poses.landmarks() * present[..., None, None],
        "label/confidence/hands": (poses.confidence * present).astype(np.float32),
        "label/flags/hands": flags,
    }


def pose_actions(poses: HandPoses, form: Rot6d) -> dict[str, NDArray[Any]]:
    """state, action/ground_truth and valid of the steps of one clip. Where the camera's pose is not known the motion of
    a hand in the world is not either: every step is then invalid."""
    action, valid = hand_action(poses, form)
    if not poses.in_world:
        action, valid = np.zeros_like(action), np.zeros_like(valid)
    return {"state": hand_state(poses, form), "action/ground_truth": action, "valid": valid}


def quaternions(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 4) x, y, z, w from matrices (..., 3, 3); zero where a matrix holds NaN or is no rotation."""
    from scipy.spatial.transform import Rotation

    flat = rotations.reshape(-1, 3, 3)
    quaternion = np.zeros((len(flat), 4))
    good = np.isfinite(flat).all(axis=(1, 2))
    good[good] &= np.linalg.det(flat[good]) > 0.5
    if good.any():
        quaternion[good] = Rotation.from_matrix(flat[good]).as_quat()
    return quaternion.reshape(*rotations.shape[:-2], 4)
