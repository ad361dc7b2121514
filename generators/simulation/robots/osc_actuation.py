"""Actions of arms under robosuite's operational space controller: pose deltas, clipped, and hand commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots.rotations import between, moved
from generators.simulation.task.scene_poses import part_controller, pose_of, site_of
from generators.simulation.task.specification import Action, Arm, Environment, Pose
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class _Limb:
    """Where an arm and its hand sit in the environment's action."""

    site: int
    base_site: int
    in_base: bool
    absolute: bool
    arm: slice
    hand: slice
    limit: NDArray[np.float64]


class OscActuation:
    """`Actuation` for any robots under OSC_POSE, one or many, with whatever hands they have.

    Parts of the robots that are no arms of the embodiment get zeros. The recorded action is the environment's own.
    """

    def __init__(self, environment: Environment, arms: tuple[Arm, ...]) -> None:
        self._data = environment.sim.data._data
        self._size = environment.action_dim
        self._limbs = {arm.name: _limb(environment, arm) for arm in arms}

    def poses(self) -> dict[str, Pose]:
        """Arm name -> pose of its end-effector site in the world, now."""
        return {name: self._pose(limb.site) for name, limb in self._limbs.items()}

    def _pose(self, site: int) -> Pose:
        return pose_of(self._data.site_xpos[site], self._data.site_xmat[site])

    def action(self, targets: Mapping[str, Pose], hands: Mapping[str, NDArray[np.float64]]) -> Action:
        """The environment's action: per arm the motion to its target over the controller's limit, within [-1, 1]."""
        action = np.zeros(self._size)
        for name, limb in self._limbs.items():
            target = targets[name]
            if limb.absolute:
                action[limb.arm] = self._absolute(limb, target)
            else:
                motion = self._in_frame(limb, between(self._pose(limb.site), target))
                action[limb.arm] = np.clip(motion / limb.limit, -1.0, 1.0)
            action[limb.hand] = hands[name]
        return action.astype(np.float32)

    def _absolute(self, limb: _Limb, target: Pose) -> NDArray[np.float64]:
        base = self._pose(limb.base_site) if limb.in_base else np.eye(4)
        target_in_base = np.eye(4)
        target_in_base[:3, :3] = base[:3, :3].T @ target[:3, :3]
        target_in_base[:3, 3] = base[:3, :3].T @ (target[:3, 3] - base[:3, 3])
        return between(np.eye(4), target_in_base)

    def _in_frame(self, limb: _Limb, motion: NDArray[np.float64]) -> NDArray[np.float64]:
        if not limb.in_base:
            return motion
        base = self._data.site_xmat[limb.base_site].reshape(3, 3)
        return np.concatenate((motion[:3] @ base, motion[3:] @ base))

    def targets(self, action: Action) -> tuple[dict[str, Pose], dict[str, NDArray[np.float64]]]:
        """The absolute targets and hand commands that `action` stands for in the present state."""
        wide = np.asarray(action, dtype=np.float64)
        targets, hands = {}, {}
        for name, limb in self._limbs.items():
            base = self._pose(limb.base_site) if limb.in_base else np.eye(4)
            if limb.absolute:
                targets[name] = base @ moved(np.eye(4), wide[limb.arm])
            else:
                motion = np.clip(wide[limb.arm], -1.0, 1.0) * limb.limit
                motion = np.concatenate((base[:3, :3] @ motion[:3], base[:3, :3] @ motion[3:]))
                targets[name] = moved(self._pose(limb.site), motion)
            hands[name] = wide[limb.hand].copy()
        return targets, hands

    def record(self, action: Action) -> Action:
        """The embodiment's vector is the environment's action."""
        return np.array(action, dtype=np.float32)

    def recorded(self, vector: Action) -> Action:
        """The inverse of `record`."""
        return np.array(vector, dtype=np.float32)


def _limb(environment: Environment, arm: Arm) -> _Limb:
    controller = part_controller(environment, arm)
    if getattr(controller, "name_suffix", "") != "POSE":
        raise ConfigError(
            f"arm {arm.name!r} is under {controller.name} (the robot under"
            f" {environment.robots[arm.robot].composite_controller.name}); this actuation drives OSC_POSE controllers"
            " only. For whole-body IK there is WholeBodyPoses of generators.simulation.robots.whole_body_poses"
        )
    offset = sum(robot.action_dim for robot in environment.robots[: arm.robot])
    splits: Mapping[str, Any] = environment.robots[arm.robot]._action_split_indexes

    def part(name: str) -> slice:
        first, last = splits.get(name, (0, 0))
        return slice(offset + first, offset + last)

    return _Limb(
        site=site_of(environment, arm),
        base_site=environment.sim.model._model.site(f"{controller.naming_prefix}{controller.part_name}_center").id,
        in_base=controller.input_ref_frame == "base",
        absolute=controller.input_type == "absolute",
        arm=part(arm.side),
        hand=part(f"{arm.side}_gripper"),
        limit=np.asarray(controller.output_max, dtype=np.float64),
    )
