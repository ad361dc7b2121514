"""Whether an arm can follow waypoints at all, before physics is spent on them. (Ours.)

A sample of the waypoints is solved by damped least squares, each from the solution before it, with the rest of the
world as it stands. A waypoint that stays out of reach, or that puts the arm into something that cannot move, is a
reason to choose another segment.
"""

from collections.abc import Iterator

import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation.mimicgen.transform import Waypoints
from generators.simulation.robots.rotations import between
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.scene_poses import part_controller, pose_of, site_of
from generators.simulation.task.specification import Arm, Pose

SAMPLE_EVERY = 6
ITERATIONS = 40
DAMPING = 0.02
TOLERANCE_M = 0.015
TOLERANCE_RAD = 0.15
LONGEST_STEP_RAD = 0.3
DEPTH_M = 0.01
"""How deep an arm may seem to sink into a thing that stands still; hands rest on tables."""


class ReachCheck:
    """Tests waypoints in a copy of a scene's world."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._model = scene, scene.model
        self._data = mujoco.MjData(scene.model)
        self._jacobian = np.zeros((6, scene.model.nv))

    def problem(self, arm: Arm, waypoints: Waypoints) -> str:
        """ "unreachable", "collision", or nothing when the waypoints can be followed."""
        controller = part_controller(self._scene.environment, arm)
        joints, dofs = np.asarray(controller.qpos_index), np.asarray(controller.qvel_index)
        site, arm_body = site_of(self._scene.environment, arm), self._model.jnt_bodyid[controller.joint_index[0]]
        self._data.qpos[:] = self._scene.data.qpos
        self._data.mocap_pos[:], self._data.mocap_quat[:] = self._scene.data.mocap_pos, self._scene.data.mocap_quat
        self._place()
        touching = set(self._deep_contacts(arm_body))
        ranges = self._model.jnt_range[controller.joint_index]
        for target in _sample(waypoints):
            if not self._solve(site, joints, dofs, ranges, target):
                return "unreachable"
            if set(self._deep_contacts(arm_body)) - touching:
                return "collision"
        return ""

    def _place(self) -> None:
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    def _solve(
        self,
        site: int,
        joints: NDArray[np.int64],
        dofs: NDArray[np.int64],
        ranges: NDArray[np.float64],
        target: Pose,
    ) -> bool:
        """Move the arm's joints, within their ranges, towards a pose of its site; whether it is reached."""
        for _ in range(ITERATIONS):
            error = between(pose_of(self._data.site_xpos[site], self._data.site_xmat[site]), target)
            if np.linalg.norm(error[:3]) < TOLERANCE_M and np.linalg.norm(error[3:]) < TOLERANCE_RAD:
                return True
            mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], site)
            jacobian = self._jacobian[:, dofs]
            damped = jacobian @ jacobian.T + DAMPING**2 * np.eye(6)
            step = jacobian.T @ np.linalg.solve(damped, error)
            step *= min(1.0, LONGEST_STEP_RAD / max(float(np.abs(step).max()), 1e-9))
            self._data.qpos[joints] = np.clip(self._data.qpos[joints] + step, ranges[:, 0], ranges[:, 1])
            self._place()
        return False

    def _deep_contacts(self, arm_body: int) -> Iterator[tuple[int, int]]:
        """Pairs of geoms of the arm (from its first joint on) and of what stands still that overlap deeply."""
        model, data = self._model, self._data
        mujoco.mj_collision(model, data)
        for contact in data.contact[: data.ncon]:
            if contact.dist > -DEPTH_M:
                continue
            for one, other in (contact.geom, contact.geom[::-1]):
                if model.body_weldid[model.geom_bodyid[other]] == 0 and self._hangs_from(one, arm_body):
                    yield int(one), int(other)

    def _hangs_from(self, geom: int, arm_body: int) -> bool:
        body = self._model.geom_bodyid[geom]
        while body:
            if body == arm_body:
                return True
            body = self._model.body_parentid[body]
        return False


def _sample(waypoints: Waypoints) -> list[Pose]:
    """The end of the interpolation, every few waypoints of the segment, and the last one."""
    last = len(waypoints) - 1
    numbers = sorted({*range(min(waypoints.interpolation, last), last, SAMPLE_EVERY), last})
    return [waypoints.targets[number] for number in numbers]
