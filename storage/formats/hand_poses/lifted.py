"""Hands in three dimensions that a lifter (HaMeR, WiLoR, HaWoR, ...) found in a video, from a folder of HDF5 files.

For the video a/b.mp4 the folder holds a/b.hdf5, rows as frames of the video:

    joints      (N, 2, 21, 3)  metres in the camera of the frame (x right, y down, z forward), left hand first, wrist
                               and then thumb to little finger from palm to tip; NaN where no hand is
    confidence  (N, 2)         0..1; left out: 1 where a hand is
    camera      (N, 4, 4)      the camera in the world, metres; left out: unknown, and no action is made
    intrinsic   (3, 3)         in pixels of the attribute size_px = (height, width)

A lifter gives positions. The wrist's own axes follow from them: z from the wrist to the knuckle of the middle finger, x
from the index finger's to the little finger's knuckle, y right-handed: out of the palm of a right hand, out of the back
of a left one. Rotations of other joints are not known.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptFileError, MissingFileError
from storage.formats.hand_poses.action import WRIST_TURN
from storage.formats.hand_poses.egodex import read_egodex_poses
from storage.formats.hand_poses.poses import JOINTS, HandPoses
from storage.formats.human_video.source_video import Problem, SourceVideo

WRIST, INDEX, MIDDLE, LITTLE = 0, 5, 9, 17


def with_lifted_poses(video: SourceVideo, folder: Path) -> SourceVideo:
    """`video` with the hands that `folder` has of it; without them that is a problem of the video, which is counted."""
    file = folder / Path(video.file).with_suffix(".hdf5")
    if file.is_file():
        return replace(video, poses=str(file))
    missing = Problem(where=str(file), text="the folder of hands has no file for this video")
    return replace(video, problems=(*video.problems, missing))


def read_hand_poses(path: Path) -> HandPoses:
    """All rows of a file of EgoDex or of a lifter; raises MissingFileError or CorruptFileError."""
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; the poses of a video lie in it")
    try:
        with h5py.File(path, "r") as file:
            if "joints" in file:
                return _read(path, file)
    except (OSError, KeyError, ValueError) as error:
        raise CorruptFileError(f"{path} does not read as the hands of a lifter: {error}") from error
    return read_egodex_poses(path)


def _read(path: Path, file: Any) -> HandPoses:
    positions = np.asarray(file["joints"], np.float64)
    if positions.ndim != 4 or positions.shape[1:] != (2, JOINTS, 3):
        raise CorruptFileError(f"{path}: joints must have shape (N, 2, 21, 3); got {positions.shape}")
    frames = len(positions)
    there = np.isfinite(positions).all(axis=(2, 3))
    known = "camera" in file
    camera = np.asarray(file["camera"], np.float64) if known else np.tile(np.eye(4), (frames, 1, 1))
    confidence = np.asarray(file["confidence"], np.float64) if "confidence" in file else there.astype(np.float64)
    if camera.shape != (frames, 4, 4) or confidence.shape != (frames, 2) or "size_px" not in file.attrs:
        raise CorruptFileError(
            f"{path}: expected camera ({frames}, 4, 4), confidence ({frames}, 2) and the attribute size_px; got "
            f"{camera.shape}, {confidence.shape} and {sorted(file.attrs)}"
        )
    height, width = (int(each) for each in file.attrs["size_px"])
    return HandPoses(
        joints=camera[:, None, None] @ with_axes_of_the_wrist(positions),
        camera=camera,
        intrinsic=np.asarray(file["intrinsic"], np.float64),
        size_px=(height, width),
        confidence=np.where(there, confidence, 0.0).astype(np.float32),
        wrists_only=True,
        in_world=known,
    )


def with_axes_of_the_wrist(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses (N, 2, 21, 4, 4) from positions (N, 2, 21, 3): every joint has the axes of its wrist."""
    forward = _unit(positions[:, :, MIDDLE] - positions[:, :, WRIST])
    across = positions[:, :, LITTLE] - positions[:, :, INDEX]
    across = _unit(across - (across * forward).sum(axis=-1, keepdims=True) * forward)
    aligned = np.stack([across, np.cross(forward, across), forward], axis=-1)
    poses = np.zeros((*positions.shape[:3], 4, 4))
    poses[..., :3, :3] = (aligned @ WRIST_TURN.T)[:, :, None]
    poses[..., :3, 3] = positions
    poses[..., 3, 3] = 1.0
    return poses


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 1e-6, vectors / np.where(length > 1e-6, length, 1.0), np.nan)
