"""The GR-1 upper body with Fourier hands: its declaration, its controllers, and its 44-dimensional vectors.

The environment's action is a vector of joint targets in rad: both arms (7 joints each) and both hands (6 commands
each), in the order in which the 44-dimensional layout of GR00T's GR-1 data has them. That layout also has legs, neck
and waist; they stand still here and are stored as zeros. End-effector targets become joint targets by whole-body
inverse kinematics before the action is formed, so that a replay of recorded actions needs none."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots.whole_body_ik import WholeBodyIk
from generators.simulation.task.specification import Action, Arm, Environment, Pose, SimulatedEmbodiment
from storage.embodiment import GR1
from storage.errors import ConfigError, SchemaError

ROBOT = "GR1ArmsOnly"
ARM_JOINTS = (
    "shoulder_pitch",
    "shoulder_roll",
    "shoulder_yaw",
    "elbow_pitch",
    "wrist_yaw",
    "wrist_roll",
    "wrist_pitch",
)
HAND_JOINTS = (
    "pinky_proximal_joint",
    "ring_proximal_joint",
    "middle_proximal_joint",
    "index_proximal_joint",
    "thumb_proximal_pitch_joint",
    "thumb_proximal_yaw_joint",
)
"""The joint that stands for each hand command in the state: a command drives all joints of its finger alike."""

ENVIRONMENT_PARTS = ("left_arm", "left_hand", "right_arm", "right_hand")
"""The parts of the layout that the environment's action holds, in order."""

REST_RAD: Mapping[str, tuple[float, ...]] = {
    "left_arm": (0.0, 0.1, 0.0, -2.1, 0.0, 0.0, 0.0),
    "left_hand": (0.0, 0.0, 0.0, 0.0, 0.0, 1.74),
    "right_arm": (0.0, -0.1, 0.0, -2.1, 0.0, 0.0, 0.0),
    "right_hand": (0.0, 0.0, 0.0, 0.0, 0.0, 1.74),
}
"""Forearms raised, hands open in view, as at the start of GR00T's GR-1 data."""

POSTURE_RAD = (-0.2, -0.45, 0.0, -1.6, 0.0, 0.0, 0.0)
"""Where the right arm's redundancy falls towards: the elbow a little out. The left arm is its mirror image."""
_MIRROR = np.array([1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0])

ARM_STIFFNESS_PER_S2 = 600.0
"""Joint acceleration per rad of error; damping is critical, so an arm follows with a lag of 80 ms."""

VECTOR_SIZE = GR1.action.size
_SLICES = GR1.action.slices()
_IN_VECTOR = np.concatenate([np.arange(VECTOR_SIZE)[_SLICES[part]] for part in ENVIRONMENT_PARTS])
ENVIRONMENT_ACTION_SIZE = len(_IN_VECTOR)
_SIZES = [_SLICES[part].stop - _SLICES[part].start for part in ENVIRONMENT_PARTS]
_ENDS = np.cumsum(_SIZES)
ACTION_SLICES: Mapping[str, slice] = {
    part: slice(int(end) - size, int(end)) for part, size, end in zip(ENVIRONMENT_PARTS, _SIZES, _ENDS, strict=True)
}
"""Part -> its slice of the environment's action."""


def to_vector(action: Action) -> Action:
    """The 44-dimensional vector of an environment action (26,): absent parts are zero."""
    if np.shape(action) != (ENVIRONMENT_ACTION_SIZE,):
        raise SchemaError(f"a GR-1 environment action has shape ({ENVIRONMENT_ACTION_SIZE},); got {np.shape(action)}")
    vector = np.zeros(VECTOR_SIZE, np.float32)
    vector[_IN_VECTOR] = action
    return vector


def from_vector(vector: Action) -> Action:
    """The environment action in a 44-dimensional vector; raises SchemaError where it moves a part that stands still."""
    if np.shape(vector) != (VECTOR_SIZE,):
        raise SchemaError(f"a GR-1 vector has shape ({VECTOR_SIZE},); got {np.shape(vector)}")
    action: Action = np.asarray(vector, np.float32)[_IN_VECTOR]
    if np.count_nonzero(vector) != np.count_nonzero(action):
        raise SchemaError(
            "legs, neck and waist of this GR-1 stand still, but the vector moves one; expected zeros there"
        )
    return action


def state(environment: Environment) -> NDArray[np.float32]:
    """The 44 joint positions of an environment in rad, float32; joints that stand still are zero."""
    model, data = environment.sim.model, environment.sim.data
    return to_vector(np.array([data.qpos[model.get_joint_qpos_addr(name)] for name in state_joints()], np.float32))


def state_joints() -> tuple[str, ...]:
    """robosuite's joint names in the order of the environment's action."""
    names: list[str] = []
    for side in ("left", "right"):
        names += [f"robot0_{side[0]}_{joint}" for joint in ARM_JOINTS]
        names += [f"gripper0_{side}_{side[0].upper()}_{joint}" for joint in HAND_JOINTS]
    return tuple(names)


def rest() -> NDArray[np.float64]:
    """The joint angles (26,) in rad in which an episode starts, in the order of the environment's action."""
    return np.concatenate([REST_RAD[part] for part in ENVIRONMENT_PARTS])


def controllers() -> dict[str, Any]:
    """robosuite's composite controller config: absolute joint positions of both arms, joint targets of both hands."""
    from generators.simulation.robots import gr1_controller

    return gr1_controller.config(stiffness_per_s2=ARM_STIFFNESS_PER_S2)


def _check_controller(name: str) -> None:
    if name != "JOINT_TARGETS":
        raise ConfigError(
            f"the robot is under {name}; embodiment {GR1.name!r} takes joint targets. Leave its `controllers` as they"
            " are (generators.simulation.robots.gr1.controllers), or give the task an embodiment that says what the"
            " controller takes: SIMULATED_GR1_POSES of generators.simulation.robots.whole_body_poses for whole-body IK"
        )


class JointTargetActuation:
    """End-effector targets -> joint targets, by inverse kinematics from the arms' present joint positions."""

    def __init__(self, environment: Environment, arms: tuple[Arm, ...]) -> None:
        robot = environment.robots[0]
        _check_controller(robot.composite_controller.name)
        model = environment.sim.model
        self._data = environment.sim.data
        self._arms = {arm.name: arm for arm in arms}
        self._sites = {arm.name: model.site_name2id(arm.site or f"gripper0_{arm.side}_grip_site") for arm in arms}
        joints = [name for name in state_joints() if name.startswith("robot0_")]
        self._addresses = np.array([model.get_joint_qpos_addr(name) for name in joints])
        self._ik = WholeBodyIk(
            robot.robot_model.get_xml(),
            joints=joints,
            sites={arm.name: arm.site or f"gripper0_{arm.side}_grip_site" for arm in arms},
            posture_rad=np.concatenate([_MIRROR * POSTURE_RAD, POSTURE_RAD]),
        )
        self._rest = rest()
        self._in_action = np.r_[ACTION_SLICES["left_arm"], ACTION_SLICES["right_arm"]]

    def poses(self) -> dict[str, Pose]:
        """Arm name -> pose of its grip site in the world, now."""
        poses = {}
        for name, site in self._sites.items():
            pose = np.eye(4)
            pose[:3, 3] = self._data.site_xpos[site]
            pose[:3, :3] = self._data.site_xmat[site].reshape(3, 3)
            poses[name] = pose
        return poses

    def action(self, targets: Mapping[str, Pose], hands: Mapping[str, NDArray[np.float64]]) -> Action:
        """Joint targets (26,) float32 for poses of the grip sites in the world and hand commands (6,) in rad."""
        action = self._rest.copy()
        action[self._in_action] = self._ik.solve(self._data.qpos[self._addresses], targets).joints_rad
        for name, command in hands.items():
            action[ACTION_SLICES[f"{self._arms[name].side}_hand"]] = command
        return action.astype(np.float32)

    def targets(self, action: Action) -> tuple[dict[str, Pose], dict[str, NDArray[np.float64]]]:
        """Forward kinematics of the joint targets, and the hand commands as they are."""
        wide = np.asarray(action, np.float64)
        hands = {name: wide[ACTION_SLICES[f"{arm.side}_hand"]] for name, arm in self._arms.items()}
        return self._ik.poses(wide[self._in_action]), hands

    def record(self, action: Action) -> Action:
        """The 44-dimensional vector of an environment action."""
        return to_vector(action)

    def recorded(self, vector: Action) -> Action:
        """The inverse of `record`."""
        return from_vector(vector)


SIMULATED_GR1 = SimulatedEmbodiment(
    name=GR1.name,
    robots=(ROBOT,),
    arms=(Arm(name="right", side="right"), Arm(name="left", side="left")),
    state=state,
    actuation=JointTargetActuation,
    controllers=controllers,
    limb_speed_m_s=0.4,
    limb_speed_rad_s=2.0,
)
