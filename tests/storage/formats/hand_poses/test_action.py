import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from storage.embodiment import embodiment_named
from storage.errors import SchemaError
from storage.formats.hand_poses.action import (
    SIZE,
    WRIST_TURN,
    aligned_wrists,
    hand_action,
    hand_state,
    rot6d,
    rotation_of,
)
from storage.formats.hand_poses.poses import LEFT, RIGHT, TIPS, HandPoses, inverse


def poses_of(seed: int = 0, steps: int = 6) -> HandPoses:
    random = np.random.default_rng(seed)

    def rigid(*shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        found = np.tile(np.eye(4), (count, 1, 1))
        found[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
        found[:, :3, 3] = random.normal(size=(count, 3))
        return found.reshape(*shape, 4, 4)

    return HandPoses(
        joints=rigid(steps, 2, 21),
        camera=rigid(steps),
        intrinsic=np.array([[700.0, 0, 960], [0, 700, 540], [0, 0, 1]]),
        size_px=(1080, 1920),
        confidence=np.ones((steps, 2), np.float32),
    )


@pytest.mark.parametrize("form", ["columns", "rows"])
def test_the_changes_of_an_action_add_up_to_the_recorded_path(form: str) -> None:
    poses = poses_of()
    action, valid = hand_action(poses, form)  # type: ignore[arg-type]
    assert valid.tolist() == [True] * 5 + [False]
    paths = {0: poses.camera, 9: aligned_wrists(poses)[:, RIGHT], 33: aligned_wrists(poses)[:, LEFT]}
    for start, path in paths.items():
        at = path[0]
        for step in range(5):
            change = np.eye(4)
            change[:3, 3] = action[step, start : start + 3]
            change[:3, :3] = rotation_of(action[step, start + 3 : start + 9].astype(float), form)  # type: ignore[arg-type]
            at = at @ change
        assert np.allclose(at, path[5], atol=1e-5)


def test_fingertips_are_those_of_the_next_step_in_its_wrist() -> None:
    poses = poses_of(3)
    action, _ = hand_action(poses, "columns")
    for side, start in ((RIGHT, 18), (LEFT, 42)):
        tips = action[1, start : start + 15].reshape(5, 3).astype(float)
        wrist = aligned_wrists(poses)[2, side]
        world = (wrist @ np.c_[tips, np.ones(5)].T).T[:, :3]
        assert np.allclose(world, poses.joints[2, side, list(TIPS), :3, 3], atol=1e-5)


def test_moving_the_world_changes_no_action() -> None:
    poses = poses_of(1)
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix(), (5, -2, 1)
    other = HandPoses(moved @ poses.joints, moved @ poses.camera, poses.intrinsic, poses.size_px, poses.confidence)
    assert np.allclose(hand_action(poses, "columns")[0], hand_action(other, "columns")[0], atol=1e-4)


def test_columns_and_rows_are_the_same_rotation_transposed() -> None:
    matrices = Rotation.random(5, random_state=2).as_matrix()
    assert np.allclose(rot6d(matrices, "columns")[:, :3], matrices[:, :, 0])
    assert np.allclose(rot6d(matrices, "rows")[:, :3], matrices[:, 0])
    for form in ("columns", "rows"):
        assert np.allclose(rotation_of(rot6d(matrices, form), form), matrices)


def test_the_wrist_is_turned_by_a_proper_rotation() -> None:
    assert np.allclose(WRIST_TURN @ WRIST_TURN.T, np.eye(3))
    assert np.linalg.det(WRIST_TURN) == pytest.approx(1)


def test_what_was_not_recorded_is_zero_and_not_valid_and_never_nan() -> None:
    poses = poses_of(4).at(np.array([0, 1, 2, 9, 10]))
    action, valid = hand_action(poses, "columns")
    assert valid.tolist() == [True, True, False, False, False]
    assert not action[2:].any()
    assert np.isfinite(hand_state(poses, "columns")).all()
    assert poses.present.tolist() == [[True] * 2] * 3 + [[False] * 2] * 2


def test_a_point_ahead_of_the_camera_is_seen_in_the_middle() -> None:
    poses = poses_of()
    joints = np.tile(np.eye(4), (1, 2, 21, 1, 1))
    joints[..., 2, 3] = 0.5
    camera = np.eye(4)[None]
    one = HandPoses(joints, camera, poses.intrinsic, poses.size_px, np.ones((1, 2), np.float32))
    assert np.allclose(one.landmarks(), [0.5, 0.5, 0.0])


def test_an_inverse_undoes_its_pose() -> None:
    poses = poses_of().camera
    assert np.allclose(inverse(poses) @ poses, np.eye(4))


def test_the_embodiment_names_every_number_of_the_action() -> None:
    for name in ("human_hands", "human_hands_rows"):
        assert embodiment_named(name).action.size == embodiment_named(name).state.size == SIZE
    slices = embodiment_named("human_hands").action.slices()
    assert slices["right_fingertips"] == slice(18, 33)
    assert slices["left_wrist_rotation"] == slice(36, 42)


def test_poses_of_another_shape_are_refused() -> None:
    with pytest.raises(SchemaError, match="joints of hand poses"):
        HandPoses(np.zeros((3, 21, 4, 4)), np.zeros((3, 4, 4)), np.eye(3), (1, 1), np.ones((3, 2), np.float32))
