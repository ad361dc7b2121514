"""Action spaces: every conversion is reversible, relative chunks are what the paper says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groot.action_space import (
    ROTATIONS,
    convert_rotation,
    dimension_groups,
    matrix_from,
    matrix_to,
    part_groups,
    relative_parts,
    to_absolute,
    to_relative,
)
from storage.embodiment import G1_INSPIRE, GR1, PANDA, Embodiment, Layout, Part
from storage.errors import SchemaError, UnknownNameError

POSED = Embodiment(
    name="posed",
    description="for tests: an end-effector pose, a joint, a gripper",
    state=Layout(
        parts=(
            Part(name="hand_position", size=3, quantity="position", unit="m"),
            Part(name="hand_rotation", size=6, quantity="rotation_6d", unit="1"),
            Part(name="elbow", size=1, quantity="joint", unit="rad"),
            Part(name="gripper", size=1, quantity="gripper", unit="1"),
        )
    ),
    action=Layout(
        parts=(
            Part(name="hand_rotation", size=3, quantity="axis_angle", unit="rad"),
            Part(name="hand_position", size=3, quantity="position", unit="m"),
            Part(name="elbow", size=1, quantity="joint", unit="rad"),
            Part(name="gripper", size=1, quantity="gripper", unit="1"),
        )
    ),
)


def rotations(seed: int, count: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return matrix_from(vectors, "axis_angle")


@given(st.integers(0, 2**31), st.sampled_from(sorted(ROTATIONS)), st.sampled_from(sorted(ROTATIONS)))
@settings(max_examples=60, deadline=None)
def test_a_rotation_survives_any_two_forms(seed: int, first: str, second: str) -> None:
    matrices = rotations(seed, 5)
    there = matrix_to(matrices, first)
    back = convert_rotation(convert_rotation(there, first, second), second, first)
    np.testing.assert_allclose(matrix_from(back, first), matrices, atol=1e-6)


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_matrices_are_rotations(seed: int) -> None:
    any_six = np.random.default_rng(seed).normal(size=(4, 6))
    matrices = matrix_from(any_six, "rotation_6d")
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, -1, -2), np.eye(3) * np.ones((4, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-9)


def test_worked_rotations() -> None:
    quarter = np.pi / 2
    about_z = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(matrix_from(np.array([0, 0, quarter]), "axis_angle"), about_z, atol=1e-12)
    np.testing.assert_allclose(matrix_from(np.array([0, 0, quarter]), "euler_xyz"), about_z, atol=1e-12)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(matrix_from(np.array([half, 0, 0, half]), "quaternion_wxyz"), about_z, atol=1e-12)
    np.testing.assert_allclose(matrix_from(np.array([0.0, 1, 0, -1, 0, 0]), "rotation_6d"), about_z, atol=1e-12)


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_relative_chunks_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = np.concatenate(
        [rng.normal(size=(3, 3)), matrix_to(rotations(seed, 3), "rotation_6d"), rng.normal(size=(3, 2))], 1
    )
    # Axis-angle is unique below half a turn only.
    turns = matrix_to(rotations(seed + 1, 12), "axis_angle").reshape(3, 4, 3)
    chunk = np.concatenate([turns, rng.normal(size=(3, 4, 5))], axis=-1)
    relative = to_relative(chunk, state, POSED)
    again = to_absolute(relative, state, POSED)
    np.testing.assert_allclose(again[..., 3:], chunk[..., 3:], atol=1e-6)
    np.testing.assert_allclose(
        matrix_from(again[..., :3], "axis_angle"), matrix_from(chunk[..., :3], "axis_angle"), atol=1e-6
    )


def test_staying_where_one_is_gives_a_relative_chunk_of_zeros_and_the_gripper_stays_absolute() -> None:
    pose = matrix_to(rotations(3, 1), "rotation_6d")[0]
    state = np.concatenate([[0.1, 0.2, 0.3], pose, [0.7], [0.04]])
    still = np.concatenate([convert_rotation(pose, "rotation_6d", "axis_angle"), [0.1, 0.2, 0.3], [0.7], [1.0]])
    relative = to_relative(np.stack([still, still]), state, POSED)
    np.testing.assert_allclose(relative[:, :7], 0, atol=1e-9)
    np.testing.assert_allclose(relative[:, 7], 1.0)


def test_joint_targets_are_relative_and_deltas_stay() -> None:
    assert len(relative_parts(GR1)) == len(GR1.action.parts)
    assert relative_parts(PANDA) == ()
    chunk, state = np.ones((2, 26)), np.full(26, 0.25)
    np.testing.assert_allclose(to_relative(chunk, state, G1_INSPIRE), 0.75)


def test_dimensions_are_grouped_by_kind_and_by_part() -> None:
    assert dimension_groups(PANDA.action) == {"position": (0, 1, 2), "rotation": (3, 4, 5), "gripper": (6,)}
    kinds = dimension_groups(G1_INSPIRE.action)
    assert (len(kinds["joints"]), len(kinds["fingers"])) == (14, 12)
    assert part_groups(PANDA.action)["gripper"] == (6,)


def test_wrong_widths_and_forms_are_refused() -> None:
    with pytest.raises(SchemaError, match="axis_angle takes 3"):
        matrix_from(np.zeros(4), "axis_angle")
    with pytest.raises(UnknownNameError, match="rotation_6d"):
        matrix_to(np.eye(3), "rotation6d")
    with pytest.raises(SchemaError, match="actions of 26"):
        to_relative(np.zeros((2, 7)), np.zeros(26), G1_INSPIRE)
