"""Whole-body inverse kinematics: poses of several end effectors in, joint targets of the robot out.

Differential inverse kinematics as one quadratic program over all joints (mink): every end effector's pose is a task,
a weak pull towards a posture decides what the poses leave open (the elbow), joint ranges and joint speeds are
constraints. It runs on a model of the robot alone: objects, meshes and finger joints are taken out, so that a
solution costs a fraction of a millisecond and depends on nothing but the arms."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mink
import mujoco
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, UnknownNameError

Vector = NDArray[np.float64]
Pose = NDArray[np.float64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WholeBodyIkConfig:
    """Costs per metre, per radian of rotation, and per radian that a joint is away from the posture. The small
    posture cost keeps a reachable pose within a tenth of a millimetre. `joint_costs` replaces the posture cost of
    single joints: a waist that should move last costs more. Iterations end when every end effector is within the
    tolerances."""

    position_cost: float = 1.0
    rotation_cost: float = 0.3
    posture_cost: float = 3e-3
    joint_costs: Mapping[str, float] = field(default_factory=dict)
    iterations: int = 6
    tolerance_m: float = 2e-4
    tolerance_rad: float = 2e-3
    joint_step_rad: float = 0.5

    def __post_init__(self) -> None:
        for name in (
            "position_cost",
            "rotation_cost",
            "posture_cost",
            "tolerance_m",
            "tolerance_rad",
            "joint_step_rad",
        ):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive; got {getattr(self, name)}")
        if self.iterations < 1:
            raise ConfigError(f"iterations must be at least 1; got {self.iterations}")


@dataclass(frozen=True)
class IkSolution:
    """Joint targets (joints,) in rad, in the solver's joint order, and the largest error that is left."""

    joints_rad: Vector
    position_error_m: float
    rotation_error_rad: float


class WholeBodyIk:
    """Inverse kinematics of the end-effector `sites` (end effector -> MuJoCo site) over `joints`, in their order.

    `robot_xml` is a complete MJCF text of the robot, such as robosuite's `robot_model.get_xml()`; poses are 4x4 in the
    world of that text. `posture_rad` is the pose that the redundancy falls towards. Keeps nothing between calls.
    """

    def __init__(
        self,
        robot_xml: str,
        *,
        joints: Sequence[str],
        sites: Mapping[str, str],
        posture_rad: Vector,
        config: WholeBodyIkConfig | None = None,
    ) -> None:
        self.config = config or WholeBodyIkConfig()
        self.joints = tuple(joints)
        self.model = robot_only_model(robot_xml, joints=self.joints, sites=tuple(sites.values()))
        self.lower_rad, self.upper_rad = self.model.jnt_range.T.copy()
        self._address = np.array([self.model.joint(name).qposadr[0] for name in self.joints])
        self._configuration = mink.Configuration(self.model)
        self._tasks = {
            name: mink.FrameTask(site, "site", self.config.position_cost, self.config.rotation_cost)
            for name, site in sites.items()
        }
        self._site_ids = {name: self.model.site(site).id for name, site in sites.items()}
        self._posture = mink.PostureTask(self.model, self._posture_costs())
        self._posture.set_target(self._to_model(np.asarray(posture_rad, np.float64)))
        speeds = dict.fromkeys(self.joints, self.config.joint_step_rad)
        self._limits = [mink.ConfigurationLimit(self.model), mink.VelocityLimit(self.model, speeds)]

    def solve(self, start_rad: Vector, targets: Mapping[str, Pose]) -> IkSolution:
        """Joint targets that bring every end effector in `targets` to its pose, searched from `start_rad` (joints,).

        A pose out of reach gives the nearest one in the sense of the costs, with its error. End effectors that are
        not in `targets` are left to the posture.
        """
        self._configuration.update(self._to_model(np.clip(start_rad, *self._ranges())))
        for name, pose in targets.items():
            self._task(name).set_target(mink.SE3.from_matrix(pose))
        tasks = [*(self._tasks[name] for name in targets), self._posture]
        for _ in range(self.config.iterations):
            step = mink.solve_ik(self._configuration, tasks, 1.0, "quadprog", damping=1e-9, limits=self._limits)
            self._configuration.integrate_inplace(step, 1.0)
            np.clip(self._configuration.data.qpos, self.lower_rad, self.upper_rad, out=self._configuration.data.qpos)
            position_error, rotation_error = self._errors(targets)
            if position_error < self.config.tolerance_m and rotation_error < self.config.tolerance_rad:
                break
        return IkSolution(self._configuration.data.qpos[self._address], position_error, rotation_error)

    def poses(self, joints_rad: Vector) -> dict[str, Pose]:
        """Forward kinematics: the 4x4 pose of every end effector in the world with the joints at (joints,) rad."""
        self._configuration.update(self._to_model(np.asarray(joints_rad, np.float64)))
        return {name: self._pose(name) for name in self._site_ids}

    def _errors(self, targets: Mapping[str, Pose]) -> tuple[float, float]:
        position, rotation = 0.0, 0.0
        for name, target in targets.items():
            pose = self._pose(name)
            position = max(position, float(np.linalg.norm(pose[:3, 3] - target[:3, 3])))
            cosine = (np.trace(pose[:3, :3].T @ target[:3, :3]) - 1.0) / 2.0
            rotation = max(rotation, float(np.arccos(np.clip(cosine, -1.0, 1.0))))
        return position, rotation

    def _pose(self, name: str) -> Pose:
        pose = np.eye(4)
        pose[:3, 3] = self._configuration.data.site_xpos[self._site_ids[name]]
        pose[:3, :3] = self._configuration.data.site_xmat[self._site_ids[name]].reshape(3, 3)
        return pose

    def _task(self, name: str) -> mink.FrameTask:
        if name not in self._tasks:
            raise UnknownNameError.among("end effector", name, self._tasks)
        return self._tasks[name]

    def _posture_costs(self) -> Vector:
        costs = np.full(self.model.nv, self.config.posture_cost)
        for name, cost in self.config.joint_costs.items():
            if name not in self.joints:
                raise UnknownNameError.among("joint", name, self.joints)
            costs[self.model.joint(name).dofadr[0]] = cost
        return costs

    def _to_model(self, joints_rad: Vector) -> Vector:
        q = np.empty(self.model.nq)
        q[self._address] = joints_rad
        return q

    def _ranges(self) -> tuple[Vector, Vector]:
        return self.lower_rad[self._address], self.upper_rad[self._address]


def robot_only_model(robot_xml: str, *, joints: Sequence[str], sites: Sequence[str]) -> mujoco.MjModel:
    """`robot_xml` compiled with `joints` as its only joints and nothing in it that a kinematic chain does not need.
    Raises UnknownNameError for a joint or site that the robot does not have."""
    spec = mujoco.MjSpec.from_string(robot_xml)
    _check_names("joint", joints, [joint.name for joint in spec.joints])
    _check_names("site", sites, [site.name for site in spec.sites])
    unneeded = [*spec.geoms, *spec.cameras, *spec.lights, *spec.actuators, *spec.sensors, *spec.excludes]
    unneeded += [site for site in spec.sites if site.name not in sites]
    unneeded += [joint for joint in spec.joints if joint.name not in joints]
    unneeded += [*spec.meshes, *spec.materials, *spec.textures, *spec.equalities, *spec.tendons]
    for element in unneeded:
        spec.delete(element)
    for site in spec.sites:
        site.material = ""
    return spec.compile()


def _check_names(kind: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise UnknownNameError.among(kind, name, known)
