"""The poses of an EgoDex recording: transforms/<joint> (N, 4, 4) in the world of the recording, camera/intrinsic
(3, 3), and confidences/<joint> (N) where they were recorded."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptFileError, MissingFileError
from storage.formats.hand_poses.poses import HandPoses
from storage.formats.untrusted.hdf5_probe import check_hdf5

_FINGERS = ("Thumb", "IndexFinger", "MiddleFinger", "RingFinger", "LittleFinger")
_BONES = ("Knuckle", "IntermediateBase", "IntermediateTip", "Tip")
_FULL_SIZE_PX = (1080, 1920)


def joint_names(side: str) -> tuple[str, ...]:
    """The 21 joints of "left" or "right", wrist first, in our order."""
    return (f"{side}Hand", *(f"{side}{finger}{bone}" for finger in _FINGERS for bone in _BONES))


def read_egodex_poses(path: Path) -> HandPoses:
    """All rows of a recording; raises MissingFileError or CorruptFileError."""
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; EgoDex keeps the poses of a video beside it")
    check_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            return _read(file)
    except (OSError, KeyError, ValueError) as error:
        raise CorruptFileError(f"{path} does not read as poses of EgoDex: {error}") from error


def _read(file: Any) -> HandPoses:
    camera = np.asarray(file["transforms/camera"], np.float64)
    joints = np.stack([_hand(file, side) for side in ("left", "right")], axis=1)
    confidence = np.stack([_confidence(file, side, len(camera)) for side in ("left", "right")], axis=1)
    return HandPoses(
        joints=joints,
        camera=camera,
        intrinsic=np.asarray(file["camera/intrinsic"], np.float64),
        size_px=_FULL_SIZE_PX,
        confidence=confidence.astype(np.float32),
    )


def _hand(file: Any, side: str) -> NDArray[np.float64]:
    return np.stack([np.asarray(file[f"transforms/{name}"], np.float64) for name in joint_names(side)], axis=1)


def _confidence(file: Any, side: str, frames: int) -> NDArray[np.float64]:
    """Of each frame: the mean over the hand's joints; 1 where the recording does not tell."""
    joints = [np.asarray(file[f"confidences/{name}"]) for name in joint_names(side) if f"confidences/{name}" in file]
    return np.mean(joints, axis=0) if joints else np.ones(frames)
