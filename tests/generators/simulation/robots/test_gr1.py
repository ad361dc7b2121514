"""The GR-1: its vectors, its kinematics, whole-body inverse kinematics."""

from functools import cache

import numpy as np
import pytest

from generators.simulation.robots import gr1
from generators.simulation.robots.gr1_kinematics import (
    GR1_END_EFFECTORS,
    end_effector_actions,
    end_effector_states,
    upper_body_xml,
    wrist_poses,
)
from generators.simulation.robots.rotations import rotation_matrix
from generators.simulation.robots.whole_body_ik import WholeBodyIk, WholeBodyIkConfig
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.registry import find_task
from storage.embodiment import GR1
from storage.errors import ConfigError, SchemaError, UnknownNameError

ARMS = [f"robot0_{side}_{joint}" for side in ("l", "r") for joint in gr1.ARM_JOINTS]
SITES = {side: f"gripper0_{side}_grip_site" for side in ("left", "right")}
REST = np.concatenate([gr1.REST_RAD["left_arm"], gr1.REST_RAD["right_arm"]])


@cache
def ik(**changes) -> WholeBodyIk:
    config = WholeBodyIkConfig(**changes)
    return WholeBodyIk(upper_body_xml(), joints=ARMS, sites=SITES, posture_rad=REST, config=config)


def postures(count: int) -> np.ndarray:
    """Joint angles (count, 14) around the rest, within the joints' ranges."""
    solver = ik()
    near = REST + np.random.default_rng(0).normal(0, 0.25, (count, len(REST)))
    return np.clip(near, solver.lower_rad + 0.05, solver.upper_rad - 0.05)


def vectors(count: int) -> np.ndarray:
    found = np.zeros((count, 44), np.float32)
    slices = GR1.state.slices()
    found[:, slices["left_arm"]], found[:, slices["right_arm"]] = np.split(
        postures(count).astype(np.float32), 2, axis=1
    )
    found[:, slices["left_hand"]] = 0.5
    return found


def test_an_action_survives_its_vector_to_the_bit():
    action = np.random.default_rng(0).normal(size=gr1.ENVIRONMENT_ACTION_SIZE).astype(np.float32)
    vector = gr1.to_vector(action)
    assert vector.shape == (44,)
    assert vector.tobytes() == gr1.to_vector(gr1.from_vector(vector)).tobytes()
    np.testing.assert_array_equal(gr1.from_vector(vector), action)


def test_a_vector_that_moves_a_leg_is_refused():
    vector = gr1.to_vector(np.ones(gr1.ENVIRONMENT_ACTION_SIZE, np.float32))
    vector[GR1.action.slices()["left_leg"]] = 0.1
    with pytest.raises(SchemaError, match="legs, neck and waist of this GR-1 stand still"):
        gr1.from_vector(vector)
    with pytest.raises(SchemaError, match=r"shape \(44,\); got \(26,\)"):
        gr1.from_vector(np.zeros(26, np.float32))


def test_joint_vectors_become_end_effectors_of_the_stated_layout():
    states, actions = end_effector_states(vectors(3)), end_effector_actions(vectors(3))
    assert states.shape == (3, GR1_END_EFFECTORS.state.size) == (3, 30)
    assert actions.shape == (3, GR1_END_EFFECTORS.action.size) == (3, 24)
    assert states.dtype == actions.dtype == np.float32
    np.testing.assert_array_equal(states[:, 9:15], 0.5)
    np.testing.assert_array_equal(states[:, 6:9], actions[:, 3:6])


def test_both_forms_of_a_rotation_are_the_same_rotation():
    states, actions = end_effector_states(vectors(4)), end_effector_actions(vectors(4))
    for state, action in zip(states.astype(np.float64), actions.astype(np.float64), strict=True):
        for start, begin in ((0, 0), (15, 12)):
            first, second = state[start : start + 3], state[start + 3 : start + 6]
            matrix = rotation_matrix(action[begin : begin + 3])
            np.testing.assert_allclose(np.stack([first, second], axis=1), matrix[:, :2], atol=1e-6)


def test_the_mirrored_posture_has_mirrored_hands():
    vector = np.zeros((1, 44), np.float32)
    slices = GR1.state.slices()
    vector[0, slices["left_arm"]] = gr1._MIRROR * gr1.POSTURE_RAD
    vector[0, slices["right_arm"]] = gr1.POSTURE_RAD
    left, right = wrist_poses(vector)[0]
    np.testing.assert_allclose(left[:3, 3], right[:3, 3] * (1, -1, 1), atol=2e-3)


def test_the_forward_kinematics_agrees_with_the_simulated_robot():
    scene = Scene(find_task("apple_from_plate_to_bowl"))
    scene.reset(3)
    environment = scene.environment
    base = np.eye(4)
    base[:3, 3] = environment.sim.data.get_body_xpos("robot0_base")
    base[:3, :3] = environment.sim.data.get_body_xmat("robot0_base")
    ours = wrist_poses(gr1.state(environment)[None])[0]
    for side, pose in zip(("left", "right"), ours, strict=True):
        np.testing.assert_allclose(base @ pose, scene.actuation.poses()[side], atol=1e-5)


def test_vectors_of_another_robot_are_refused():
    with pytest.raises(SchemaError, match=r"shape \(T, 44\); got \(2, 14\)"):
        end_effector_states(np.zeros((2, 14)))


def test_inverse_kinematics_finds_joints_for_poses_that_joints_have():
    solver = ik(iterations=30)
    for wanted in postures(12):
        targets = solver.poses(wanted)
        found = solver.solve(REST, targets)
        assert found.position_error_m < 1e-3
        assert found.rotation_error_rad < 1e-2
        reached = solver.poses(found.joints_rad)
        for side, target in targets.items():
            np.testing.assert_allclose(reached[side][:3, 3], target[:3, 3], atol=1e-3)


def test_solutions_stay_within_the_joints_and_their_step():
    solver = ik(iterations=1, joint_step_rad=0.1)
    far = {side: pose @ np.diag([1.0, 1, 1, 1]) for side, pose in solver.poses(REST).items()}
    for pose in far.values():
        pose[0, 3] += 0.4
    found = solver.solve(REST, far).joints_rad
    assert (found >= solver.lower_rad - 1e-9).all()
    assert (found <= solver.upper_rad + 1e-9).all()
    assert np.abs(found - REST).max() <= 0.1 + 1e-9


def test_a_pose_out_of_reach_leaves_an_error_and_finite_joints():
    solver = ik()
    targets = solver.poses(REST)
    targets["right"][:3, 3] += (2.0, 0.0, 0.0)
    found = solver.solve(REST, targets)
    assert found.position_error_m > 1.0
    assert np.isfinite(found.joints_rad).all()


def test_a_hand_without_a_target_falls_towards_the_posture():
    solver = ik(iterations=30)
    target = {"right": solver.poses(REST)["right"]}
    found = solver.solve(REST + 0.1, target).joints_rad
    assert np.abs(found[:7] - REST[:7]).max() < 0.02


def test_an_unknown_hand_joint_or_site_is_named():
    with pytest.raises(UnknownNameError, match="end effector 'rigth'; did you mean right"):
        ik().solve(REST, {"rigth": np.eye(4)})
    with pytest.raises(UnknownNameError, match="unknown joint 'robot0_l_elbow'"):
        WholeBodyIk(upper_body_xml(), joints=["robot0_l_elbow"], sites={}, posture_rad=np.zeros(1))
    with pytest.raises(UnknownNameError, match="unknown joint 'waist'"):
        ik.__wrapped__(joint_costs={"waist": 1.0})
    with pytest.raises(ConfigError, match="iterations must be at least 1"):
        WholeBodyIkConfig(iterations=0)
    with pytest.raises(ConfigError, match="posture_cost must be positive"):
        WholeBodyIkConfig(posture_cost=0.0)
