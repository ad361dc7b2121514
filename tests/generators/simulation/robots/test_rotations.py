import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from generators.simulation.robots.rotations import (
    between,
    distance,
    inverse,
    moved,
    rotation_6d,
    rotation_matrix,
    rotation_vector,
)

numbers = st.floats(-3.0, 3.0, allow_nan=False)
vectors = st.lists(numbers, min_size=3, max_size=3).map(lambda values: np.array(values, dtype=np.float64))


def random_pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    pose[:3, 3] = rng.normal(size=3)
    return pose


@given(vectors)
def test_a_rotation_matrix_agrees_with_scipy(vector):
    np.testing.assert_allclose(rotation_matrix(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@given(vectors)
def test_the_vector_of_a_rotation_gives_the_rotation_back(vector):
    rotation = rotation_matrix(vector)
    again = rotation_vector(rotation)
    assert np.linalg.norm(again) <= np.pi + 1e-9
    np.testing.assert_allclose(rotation_matrix(again), rotation, atol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_a_turn_has_a_vector_of_length_pi(axis):
    vector = np.zeros(3)
    vector[axis] = np.pi
    found = rotation_vector(np.ascontiguousarray(Rotation.from_rotvec(vector).as_matrix()))
    np.testing.assert_allclose(np.abs(found), vector, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_moving_by_the_motion_between_two_poses_arrives(seed):
    start, end = random_pose(seed), random_pose(seed + 100)
    np.testing.assert_allclose(moved(start, between(start, end)), end, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_pose_times_its_inverse_is_the_identity(seed):
    pose = random_pose(seed)
    np.testing.assert_allclose(pose @ inverse(pose), np.eye(4), atol=1e-12)


def test_distance_is_in_metres_and_radians():
    end = moved(np.eye(4), np.array([0.3, 0.0, 0.4, 0.0, 0.2, 0.0]))
    assert distance(np.eye(4), end) == pytest.approx((0.5, 0.2))


def test_six_numbers_are_the_first_two_columns():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert rotation_6d(quarter).tolist() == [0, 1, 0, -1, 0, 0]
