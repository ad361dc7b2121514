"""Hands of a lifter from a folder: the declared layout, the action that follows from it, and what is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from judges.curation.watch import WatchVideo
from judges.curation.watch_config import WatchConfig
from storage.errors import CorruptFileError, MissingFileError
from storage.formats.hand_poses.action import aligned_wrists
from storage.formats.hand_poses.lifted import read_hand_poses
from storage.formats.human_video.list_segments import ListingConfig, list_segments
from storage.formats.human_video.testing import numbered_scene
from storage.formats.testing import tiny_video
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept

FRAMES = 40


def hand(right: bool) -> np.ndarray:
    """(21, 3): a flat hand half a metre away, fingers up in the picture, its back to the camera."""
    side = 1.0 if right else -1.0
    across = np.array([-0.05, -0.025, 0.0, 0.025, 0.05]) * side
    points = [np.array([0.0, 0.0, 0.5])]
    for finger in range(5):
        points += [np.array([across[finger], -0.04 - 0.02 * joint, 0.5]) for joint in range(1, 5)]
    return np.stack(points) + np.array([0.1 * side, 0.0, 0.0])


def write_hands(path: Path, *, camera: bool = True, frames: int = FRAMES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    joints = np.tile(np.stack([hand(False), hand(True)]), (frames, 1, 1, 1))
    joints[:, 1, :, 0] += 0.002 * np.arange(frames)[:, None]
    joints[30:, 0] = np.nan
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 2, 3] = 0.01 * np.arange(frames)
    with h5py.File(path, "w") as file:
        file["joints"], file["intrinsic"] = joints, np.array([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]])
        file.attrs["size_px"] = (96, 128)
        if camera:
            file["camera"] = poses


def watched(root: Path, poses: Path) -> tuple[list[Any], list[Dropped]]:
    units = list_segments(ListingConfig(path=str(root), poses=str(poses)))
    items = [item for unit in units for item in unit]
    outcomes = [each for found in WatchVideo(WatchConfig())(items, Randomness(0, "watch")) for each in found]
    clips = [each.episode for each in outcomes if isinstance(each, Kept)]
    return clips, [each for each in outcomes if isinstance(each, Dropped)]


def test_a_folder_of_lifted_hands_becomes_the_57_number_action(tmp_path: Path) -> None:
    tiny_video(tmp_path / "videos/a/1.mp4", numbered_scene(FRAMES))
    write_hands(tmp_path / "hands/a/1.hdf5")
    (clip,), dropped = watched(tmp_path / "videos", tmp_path / "hands")
    assert not dropped
    assert clip.embodiment == "human_hands"
    action, valid = clip.arrays["action/ground_truth"], clip.arrays["valid"]
    assert action.shape == (FRAMES, 57)
    assert valid.tolist() == [True] * 29 + [False] * 11, "steps without a left hand have no action"
    assert np.allclose(action[:29, :3], [0, 0, 0.01], atol=1e-6), "the camera walks forward"
    # The right wrist's x is the picture's x here, and its motion is that of the hand; it also goes along with the head.
    assert np.allclose(np.linalg.norm(action[:29, 9:12], axis=1), np.hypot(0.002, 0.01), atol=1e-6)
    assert np.allclose(clip.arrays["label/hand_joints"][0, 1], hand(True), atol=1e-6)
    assert (clip.arrays["label/hand_rotations"][:, :, 1:] == 0).all(), "no rotation is invented for other joints"
    assert clip.arrays["label/hand_landmarks"][0, 1, 0, 0] == pytest.approx((0.1 / 0.5 * 100 + 64) / 128, abs=1e-5)


def test_the_axes_of_a_wrist_turn_with_the_hand(tmp_path: Path) -> None:
    write_hands(tmp_path / "1.hdf5")
    poses = read_hand_poses(tmp_path / "1.hdf5")
    wrist = aligned_wrists(poses)[0, 1, :3, :3]
    assert np.allclose(wrist[:, 2], [0, -1, 0], atol=1e-9), "z to the fingertips, up in the picture"
    assert np.allclose(wrist[:, 0], [1, 0, 0], atol=1e-9), "x from the thumb to the little finger"
    assert np.allclose(wrist[:, 1], [0, 0, 1], atol=1e-9), "y out of the palm, away from the camera"
    turn = Rotation.from_euler("xyz", [0.3, -0.2, 0.5]).as_matrix()
    with h5py.File(tmp_path / "1.hdf5", "r+") as file:
        file["joints"][...] = file["joints"][...] @ turn.T
    assert np.allclose(aligned_wrists(read_hand_poses(tmp_path / "1.hdf5"))[0, 1, :3, :3], turn @ wrist, atol=1e-9)


def test_without_a_camera_pose_there_are_labels_and_no_action(tmp_path: Path) -> None:
    tiny_video(tmp_path / "videos/1.mp4", numbered_scene(FRAMES))
    write_hands(tmp_path / "hands/1.hdf5", camera=False)
    (clip,), _ = watched(tmp_path / "videos", tmp_path / "hands")
    assert not clip.arrays["valid"].any()
    assert "label/camera_pose" not in clip.arrays
    assert (clip.arrays["label/flags/hands"][:30] & 3 == 3).all()


def test_a_video_without_hands_in_the_folder_is_named_and_kept(tmp_path: Path) -> None:
    tiny_video(tmp_path / "videos/1.mp4", numbered_scene(FRAMES))
    tiny_video(tmp_path / "videos/2.mp4", numbered_scene(FRAMES))
    write_hands(tmp_path / "hands/1.hdf5")
    clips, (drop,) = watched(tmp_path / "videos", tmp_path / "hands")
    assert sorted(clip.embodiment for clip in clips) == ["human", "human_hands"]
    assert drop.reason == "bad annotation"
    assert "no file for this video" in drop.detail["message"]
    with pytest.raises(MissingFileError, match="a lifter wrote"):
        list_segments(ListingConfig(path=str(tmp_path / "videos"), poses=str(tmp_path / "gone")))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.__delitem__("intrinsic"), "does not read"),
        (lambda file: file.attrs.__delitem__("size_px"), "size_px"),
        (lambda file: (file.__delitem__("joints"), file.create_dataset("joints", data=np.zeros((4, 21, 3)))), "shape"),
    ],
    ids=["no intrinsic", "no size", "one hand"],
)
def test_a_file_of_another_layout_says_what_is_wrong(
    tmp_path: Path, harm: Callable[[Any], object], message: str
) -> None:
    write_hands(tmp_path / "1.hdf5")
    with h5py.File(tmp_path / "1.hdf5", "r+") as file:
        harm(file)
    with pytest.raises(CorruptFileError, match=message):
        read_hand_poses(tmp_path / "1.hdf5")
