from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from judges.curation.watch import WatchVideo
from judges.curation.watch_config import WatchConfig
from judges.hands.recorded import quaternions, read_poses
from storage.episode import Episode
from storage.errors import CorruptFileError
from storage.formats.hand_poses.egodex import joint_names, read_egodex_poses
from storage.formats.human_video.testing import items_of, numbered_scene
from storage.formats.testing import tiny_video
from storage.ids import Randomness
from storage.outcomes import Kept


def write_recording(root: Path, frames: int = 40, *, rows: int = 40) -> None:
    """A video of EgoDex with poses: hands half a metre ahead of a camera that walks along x."""
    tiny_video(root / "part1/pour/1.mp4", numbered_scene(frames))
    random = np.random.default_rng(0)
    camera = np.tile(np.eye(4), (rows, 1, 1))
    camera[:, 0, 3] = 0.01 * np.arange(rows)
    with h5py.File(root / "part1/pour/1.hdf5", "w") as file:
        file["camera/intrinsic"] = np.array([[736.0, 0, 960], [0, 736, 540], [0, 0, 1]])
        file["transforms/camera"] = camera.astype(np.float32)
        for side, across in (("left", -0.1), ("right", 0.1)):
            for name in joint_names(side):
                pose = camera.copy()
                pose[:, :3, :3] = Rotation.random(random_state=3).as_matrix()
                pose[:, :3, 3] += np.array([across, 0.1, 0.5]) + random.normal(scale=0.02, size=3)
                file[f"transforms/{name}"] = pose.astype(np.float32)
                file[f"confidences/{name}"] = np.full(rows, 0.9 if side == "left" else 0.2, np.float32)
        file.attrs["llm_description"], file.attrs["which_llm_description"] = "pour the water", "1"


def clips(root: Path, **settings: object) -> list[Episode]:
    outcomes = WatchVideo(WatchConfig(**settings))(items_of(root), Randomness(0, "watch"))  # type: ignore[arg-type]
    return [each.episode for found in outcomes for each in found if isinstance(each, Kept)]


def test_a_recording_becomes_an_episode_with_hands_camera_and_actions(tmp_path: Path) -> None:
    write_recording(tmp_path)
    (clip,) = clips(tmp_path)
    assert (clip.embodiment, clip.instruction) == ("human_hands", "pour the water")
    assert clip.cameras["view"].codec == "reference"
    assert clip.arrays["action/ground_truth"].shape == (40, 57)
    assert clip.arrays["valid"].tolist() == [True] * 39 + [False]
    assert np.allclose(clip.arrays["action/ground_truth"][:39, 0], 0.01, atol=1e-5)
    assert np.allclose(clip.arrays["label/camera_pose"][5], [0.05, 0, 0, 0, 0, 0, 1], atol=1e-5)
    assert clip.arrays["label/hand_joints"].shape == (40, 2, 21, 3)
    assert np.allclose(clip.arrays["label/hand_joints"][0, 0, 0, 2], 0.5, atol=0.1)


def test_flags_say_which_hand_is_there_and_which_is_measured_well(tmp_path: Path) -> None:
    write_recording(tmp_path)
    (clip,) = clips(tmp_path)
    assert set(clip.arrays["label/flags/hands"].tolist()) == {1 | 2 | 4 | 8 | 16}
    assert np.allclose(clip.arrays["label/confidence/hands"], [0.9, 0.2])


def test_frames_beyond_the_last_pose_are_not_valid(tmp_path: Path) -> None:
    write_recording(tmp_path, rows=30)
    (clip,) = clips(tmp_path)
    assert clip.arrays["valid"].tolist() == [True] * 29 + [False] * 11
    assert not clip.arrays["label/flags/hands"][30:].any()


def test_rotations_in_the_order_of_groot_are_another_embodiment(tmp_path: Path) -> None:
    write_recording(tmp_path)
    (columns,), (rows,) = (clips(tmp_path, rot6d=form) for form in ("columns", "rows"))
    assert rows.embodiment == "human_hands_rows"
    first, other = (each.arrays["state"][3] for each in (columns, rows))
    assert np.allclose(first[:3], other[:3])
    assert not np.allclose(first[12:18], other[12:18])


def test_poses_that_do_not_read_cost_their_own_segment(tmp_path: Path) -> None:
    write_recording(tmp_path)
    items = items_of(tmp_path)
    with h5py.File(tmp_path / "part1/pour/1.hdf5", "a") as file:
        del file["transforms/leftThumbTip"]
    with pytest.raises(CorruptFileError, match="leftThumbTip"):
        read_poses(tmp_path / "part1/pour/1.hdf5", np.arange(3))
    ((drop,),) = WatchVideo(WatchConfig())(items, Randomness(0, "watch"))
    assert getattr(drop, "reason", "") == "bad input"


def test_quaternions_are_those_of_the_rotations_and_zero_where_there_is_none() -> None:
    matrices = Rotation.from_quat([[0, 0, np.sin(0.2), np.cos(0.2)]]).as_matrix()
    assert np.allclose(quaternions(matrices), [[0, 0, np.sin(0.2), np.cos(0.2)]])
    assert not quaternions(np.full((2, 3, 3), np.nan)).any()


def test_joints_are_in_the_order_of_the_landmarks(tmp_path: Path) -> None:
    names = joint_names("left")
    assert (len(names), names[0], names[4], names[20]) == (21, "leftHand", "leftThumbTip", "leftLittleFingerTip")
    write_recording(tmp_path)
    assert len(read_egodex_poses(tmp_path / "part1/pour/1.hdf5")) == 40
