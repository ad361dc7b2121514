"""Robots under a whole-body IK controller of robosuite: the action holds absolute poses of end effectors, and hands.

`WHOLE_BODY_IK` ships with robosuite; `WHOLE_BODY_MINK_IK` has the same kind of action and comes with robosuite's source
tree only. Both solve inverse kinematics inside `env.step`, from the state alone, so that actions replay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from generators.simulation.robots import gr1
from generators.simulation.robots.rotations import between, inverse, moved
from generators.simulation.task.scene_poses import pose_of
from generators.simulation.task.specification import Action, Arm, Environment, Pose, SimulatedEmbodiment
from storage.embodiment import GR1, Embodiment, Layout, Part, register
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class _Limb:
    """Where an end effector and its hand are in the environment's action; `origin_in_world` is the action's frame."""

    site: int
    origin_in_world: Pose
    pose: slice
    hand: slice


class WholeBodyPoses:
    """`Actuation` for whole-body IK controllers that take absolute poses (position, rotation vector) of the arms.

    Parts of the action that are no arms or hands of the embodiment get zeros. The recorded action is the environment's
    own. `frame` is the one in which the live controller takes poses: "base" or "world".
    """

    def __init__(self, environment: Environment, arms: tuple[Arm, ...]) -> None:
        self._data = environment.sim.data._data
        self._size = environment.action_dim
        self._limbs = {arm.name: _limb(environment, arm) for arm in arms}
        self.frame = _solver(environment, arms[0]).input_ref_frame

    def poses(self) -> dict[str, Pose]:
        """Arm name -> pose of its end-effector site in the world, now."""
        return {
            name: pose_of(self._data.site_xpos[limb.site], self._data.site_xmat[limb.site])
            for name, limb in self._limbs.items()
        }

    def action(self, targets: Mapping[str, Pose], hands: Mapping[str, NDArray[np.float64]]) -> Action:
        """The environment's action, float32: per arm its target pose in the controller's frame, then the hands."""
        action = np.zeros(self._size)
        for name, limb in self._limbs.items():
            action[limb.pose] = between(np.eye(4), inverse(limb.origin_in_world) @ targets[name])
            action[limb.hand] = hands[name]
        return action.astype(np.float32)

    def targets(self, action: Action) -> tuple[dict[str, Pose], dict[str, NDArray[np.float64]]]:
        """The poses in the world and the hand commands that `action` holds."""
        wide = np.asarray(action, np.float64)
        targets = {name: limb.origin_in_world @ moved(np.eye(4), wide[limb.pose]) for name, limb in self._limbs.items()}
        return targets, {name: wide[limb.hand].copy() for name, limb in self._limbs.items()}

    def record(self, action: Action) -> Action:
        """The embodiment's vector is the environment's action."""
        return np.array(action, dtype=np.float32)

    def recorded(self, vector: Action) -> Action:
        """The inverse of `record`."""
        return np.array(vector, dtype=np.float32)


def _solver(environment: Environment, arm: Arm) -> Any:
    """What solves the IK of an arm's robot; raises ConfigError where it does not take absolute poses."""
    composite = environment.robots[arm.robot].composite_controller
    solver = getattr(composite, "joint_action_policy", None)
    if solver is None:
        raise ConfigError(
            f"robot {arm.robot} is under {composite.name}; this actuation drives whole-body IK controllers"
            " (WHOLE_BODY_IK)"
        )
    kind = getattr(solver, "input_action_repr", "absolute"), solver.input_rotation_repr, solver.input_ref_frame
    if kind[:2] != ("absolute", "axis_angle") or kind[2] not in ("base", "world"):
        raise ConfigError(
            f"the IK controller of robot {arm.robot} takes {kind[0]} targets with rotations as {kind[1]} in the"
            f" {kind[2]} frame; expected absolute targets as axis_angle in the base or world frame"
        )
    return solver


def _limb(environment: Environment, arm: Arm) -> _Limb:
    solver = _solver(environment, arm)
    model, robot = environment.sim.model._model, environment.robots[arm.robot]
    site = arm.site or f"gripper{arm.robot}_{arm.side}_grip_site"
    splits: Mapping[str, Any] = robot.composite_controller._whole_body_controller_action_split_indexes
    if site not in solver.site_names or arm.side not in splits:
        raise ConfigError(f"arm {arm.name!r}: the IK controller steers {sorted(solver.site_names)}, not {site!r}")
    offset = sum(before.action_dim for before in environment.robots[: arm.robot])

    def part(name: str) -> slice:
        first, last = splits.get(name, (0, 0))
        return slice(offset + first, offset + last)

    origin = np.eye(4)
    if solver.input_ref_frame == "base":
        base = model.body("robot0_base")  # the body that robosuite's solver means, whatever the robot
        origin = pose_of(base.pos, Rotation.from_quat(np.roll(base.quat, -1)).as_matrix())
    return _Limb(
        site=model.site(site).id, origin_in_world=origin, pose=part(arm.side), hand=part(f"{arm.side}_gripper")
    )


def _pose_parts(side: str) -> tuple[Part, Part]:
    return (
        Part(name=f"{side}_position_target", size=3, quantity="position", unit="m"),
        Part(name=f"{side}_rotation_target", size=3, quantity="axis_angle", unit="rad"),
    )


GR1_POSES = register(
    Embodiment(
        name="gr1_poses",
        description="Fourier GR-1 under whole-body IK; state as `gr1`; action: absolute poses of the grip sites"
        " (position, rotation vector) in the robot's base frame, hand commands",
        state=GR1.state,
        action=Layout(
            parts=(
                *_pose_parts("right"),
                *_pose_parts("left"),
                Part(name="right_hand", size=6, quantity="hand", unit="rad"),
                Part(name="left_hand", size=6, quantity="hand", unit="rad"),
            )
        ),
    )
)
SIMULATED_GR1_POSES = SimulatedEmbodiment(
    name=GR1_POSES.name,
    robots=(gr1.ROBOT,),
    arms=gr1.SIMULATED_GR1.arms,
    state=gr1.state,
    actuation=WholeBodyPoses,
    limb_speed_m_s=0.4,
    limb_speed_rad_s=2.0,
)
"""The upper body under robosuite's own default controller of it, WHOLE_BODY_IK."""
