"""The GR-1's 44 joints as end effectors: position, rotation and hand of both arms, from the stored joint vectors.

N1 gives states with 6D rotations and actions with axis-angle ones, in the order rotation, position, gripper, left arm
first. Both forms follow from the joints alone, so they are computed when they are wanted and not stored. Poses are
those of the grip sites (the wrists) in the robot's base frame: x forward, y to its left, z up, the origin in the
pelvis."""

from functools import cache
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots import gr1
from generators.simulation.robots.rotations import rotation_6d, rotation_vector
from generators.simulation.robots.whole_body_ik import robot_only_model
from storage.embodiment import GR1, Embodiment, Layout, Part, register
from storage.errors import SchemaError

SIDES = ("left", "right")
WAIST_JOINTS = ("torso_waist_yaw", "torso_waist_pitch", "torso_waist_roll")
HAND_SIZE = 6


def _layout(rotation: Any, size: int, unit: str) -> Layout:
    parts: list[Part] = []
    for side in SIDES:
        parts += [
            Part(name=f"{side}_end_effector_rotation", size=size, quantity=rotation, unit=unit),
            Part(name=f"{side}_end_effector_position", size=3, quantity="position", unit="m"),
            Part(name=f"{side}_hand", size=HAND_SIZE, quantity="hand", unit="rad"),
        ]
    return Layout(parts=tuple(parts))


GR1_END_EFFECTORS = register(
    Embodiment(
        name="gr1_end_effectors",
        description="Fourier GR-1 as two end effectors in its base frame, derived from `gr1`; the action is absolute",
        state=_layout("rotation_6d", 6, "1"),
        action=_layout("axis_angle", 3, "rad"),
    )
)


def end_effector_states(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """States (T, 44) in joint form as (T, 30): for the left and the right arm rotation (6D: the first two columns of
    the rotation matrix, one after the other), position in m, hand in rad."""
    return _derived(vectors, rotation_6d)


def end_effector_actions(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Actions (T, 44), joint targets, as (T, 24): for each arm rotation vector in rad, position in m, hand in rad."""
    return _derived(vectors, rotation_vector)


def _derived(vectors: NDArray[Any], form: Any) -> NDArray[np.float32]:
    if np.ndim(vectors) != 2 or np.shape(vectors)[1] != gr1.VECTOR_SIZE:
        raise SchemaError(f"GR-1 vectors have shape (T, {gr1.VECTOR_SIZE}); got {np.shape(vectors)}")
    slices, poses = GR1.state.slices(), wrist_poses(vectors)
    rows = []
    for vector, both in zip(np.asarray(vectors, np.float64), poses, strict=True):
        pieces = []
        for side, pose in zip(SIDES, both, strict=True):
            pieces += [form(np.ascontiguousarray(pose[:3, :3])), pose[:3, 3], vector[slices[f"{side}_hand"]]]
        rows.append(np.concatenate(pieces))
    width = (GR1_END_EFFECTORS.state if form is rotation_6d else GR1_END_EFFECTORS.action).size
    return np.array(rows, np.float32).reshape(len(vectors), width)


def wrist_poses(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Poses (T, 2, 4, 4) of the left and the right grip site in the base frame for joint vectors (T, 44)."""
    model, addresses, sites = _model()
    data, slices = mujoco.MjData(model), GR1.state.slices()
    poses = np.tile(np.eye(4), (len(vectors), 2, 1, 1))
    for row, vector in enumerate(np.asarray(vectors, np.float64)):
        for part, where in addresses.items():
            data.qpos[where] = vector[slices[part]]
        mujoco.mj_kinematics(model, data)
        for number, site in enumerate(sites):
            poses[row, number, :3, :3] = data.site_xmat[site].reshape(3, 3)
            poses[row, number, :3, 3] = data.site_xpos[site]
    return poses


@cache
def _model() -> tuple[mujoco.MjModel, dict[str, NDArray[np.int64]], list[int]]:
    """The upper body's kinematics, where each part of the vector goes in its positions, and its two sites."""
    names = {
        "waist": [f"robot0_{joint}" for joint in WAIST_JOINTS],
        **{f"{side}_arm": [f"robot0_{side[0]}_{joint}" for joint in gr1.ARM_JOINTS] for side in SIDES},
    }
    sites = [f"gripper0_{side}_grip_site" for side in SIDES]
    model = robot_only_model(upper_body_xml(), joints=[name for part in names.values() for name in part], sites=sites)
    addresses = {part: np.array([model.joint(name).qposadr[0] for name in joints]) for part, joints in names.items()}
    return model, addresses, [int(model.site(site).id) for site in sites]


def upper_body_xml() -> str:
    """The MJCF text of robosuite's GR-1 with a fixed lower body and Fourier hands, its base at the origin."""
    from robosuite.models.grippers import gripper_factory
    from robosuite.models.robots import create_robot

    robot = create_robot("GR1FixedLowerBody", idn=0)
    for side in SIDES:
        robot.add_gripper(gripper_factory(robot.default_gripper[side], idn=f"0_{side}"), robot.eef_name[side])
    text: str = robot.get_xml()
    return text
