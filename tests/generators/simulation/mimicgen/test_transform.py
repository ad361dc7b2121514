from itertools import pairwise

import numpy as np
import pytest

from generators.simulation.mimicgen.transform import (
    carried,
    interpolated,
    interpolation_length,
    motion_of,
    noisy,
    with_interpolation,
)
from generators.simulation.robots.rotations import distance, inverse

from ..robots.test_rotations import random_pose


@pytest.mark.parametrize("seed", range(4))
def test_a_carried_pose_keeps_its_place_in_the_object(seed):
    pose, then, now = random_pose(seed), random_pose(seed + 10), random_pose(seed + 20)
    np.testing.assert_allclose(inverse(now) @ carried(pose, then, now), inverse(then) @ pose, atol=1e-12)


def test_an_object_that_has_not_moved_changes_nothing():
    pose, there = random_pose(1), random_pose(2)
    np.testing.assert_allclose(carried(pose, there, there), pose, atol=1e-12)
    np.testing.assert_allclose(motion_of("transform", there, there), np.eye(4), atol=1e-12)


def test_transform_moves_and_turns_with_the_object():
    then, now, pose = random_pose(1), random_pose(2), random_pose(3)
    np.testing.assert_allclose(motion_of("transform", then, now) @ pose, carried(pose, then, now), atol=1e-12)


def test_translate_keeps_the_orientation():
    then, now, pose = random_pose(1), random_pose(2), random_pose(3)
    moved = motion_of("translate", then, now) @ pose
    np.testing.assert_array_equal(moved[:3, :3], pose[:3, :3])
    np.testing.assert_allclose(moved[:3, 3] - pose[:3, 3], now[:3, 3] - then[:3, 3], atol=1e-12)


def test_replay_leaves_everything_where_it_was():
    np.testing.assert_array_equal(motion_of("replay", random_pose(1), random_pose(2)), np.eye(4))


def test_no_step_of_a_bridge_is_longer_than_the_limb_may_move():
    start, end = random_pose(1), random_pose(2)
    count = interpolation_length(start, end, step_m=0.02, step_rad=0.1, least=1)
    path = [start, *interpolated(start, end, count), end]
    for before, after in pairwise(path):
        metres, radians = distance(before, after)
        assert metres <= 0.02 + 1e-9
        assert radians <= 0.1 + 1e-9


def test_a_bridge_between_neighbours_is_left_out_and_a_short_one_has_its_least_length():
    start, near = np.eye(4), np.eye(4)
    near[0, 3] = 0.01
    assert interpolation_length(start, near, step_m=0.02, step_rad=0.1, least=5) == 0
    near[0, 3] = 0.03
    assert interpolation_length(start, near, step_m=0.02, step_rad=0.1, least=5) == 5


def test_waypoints_are_a_bridge_then_the_held_first_target_then_the_segment():
    targets = np.stack([random_pose(seed) for seed in range(3)])
    hands = np.array([[1.0], [1.0], [-1.0]])
    made = with_interpolation(random_pose(9), targets, hands, interpolation=4, fixed=2)
    assert len(made) == 4 + 2 + 3
    np.testing.assert_array_equal(made.targets[4:6], targets[[0, 0]])
    np.testing.assert_array_equal(made.targets[6:], targets)
    assert made.hands[:6].tolist() == [[1.0]] * 6


def test_noise_has_the_size_it_is_said_to_have():
    rng = np.random.default_rng(0)
    draws = [noisy(np.eye(4), 0.01, 0.0, rng)[:3, 3] for _ in range(2000)]
    assert np.std(draws, axis=0) == pytest.approx([0.01] * 3, rel=0.1)
    np.testing.assert_array_equal(noisy(np.eye(4), 0.01, 0.0, rng)[:3, :3], np.eye(3))
