"""Whole-body inverse kinematics: poses of several end effectors in, joint targets of the robot out.

Differential inverse kinematics as one quadratic program over all joints, put together and iterated with mink: every end
effector's pose is an objective, a weak pull towards a posture decides what the poses leave open (the elbow), joint
ranges and joint steps are constraints. It runs on a model of the robot alone: objects, meshes and finger joints are
taken out, so that a solution costs a fraction of a millisecond and depends on nothing but the arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mink
import mujoco
import numpy as np
from mink.limits import Constraint, Limit
from mink.tasks import Objective, Task
from numpy.typing import NDArray
from qpsolvers import solve_problem

from storage.errors import ConfigError, UnknownNameError

Vector = NDArray[np.float64]
Pose = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WholeBodyIkConfig:
    """Costs per metre, per radian of rotation, and per radian that a joint is away from the posture. The small posture
    cost keeps a reachable pose within a tenth of a millimetre. `joint_costs` replaces the posture cost of single
    joints: a waist that should move last costs more. Iterations end when every end effector is within the
    tolerances; in one iteration no joint moves by more than `joint_step_rad`."""

    position_cost: float = 1.0
    rotation_cost: float = 0.3
    posture_cost: float = 3e-3
    joint_costs: Mapping[str, float] = field(default_factory=dict)
    iterations: int = 6
    tolerance_m: float = 3e-4
    tolerance_rad: float = 3e-3
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
        self._order = np.array([self.model.joint(name).qposadr[0] for name in self.joints])
        self.lower_rad, self.upper_rad = self.model.jnt_range.T[:, self._order].copy()
        self._configuration = mink.Configuration(self.model)
        self._sites = {name: int(self.model.site(site).id) for name, site in sites.items()}
        posture = self._to_model(np.asarray(posture_rad, np.float64))
        self._poses = _Poses(self.model, self.config, posture=posture, posture_costs=self._posture_costs())
        self._bounds = _JointBounds(self.model, self.config.joint_step_rad)

    def solve(self, start_rad: Vector, targets: Mapping[str, Pose]) -> IkSolution:
        """Joint targets that bring every end effector in `targets` to its pose, searched from `start_rad` (joints,).

        A pose out of reach gives the nearest one in the sense of the costs, with its error. End effectors that are
        not in `targets` are left to the posture.
        """
        for name in targets:
            if name not in self._sites:
                raise UnknownNameError.among("end effector", name, self._sites)
        self._configuration.update(self._to_model(np.minimum(np.maximum(start_rad, self.lower_rad), self.upper_rad)))
        self._poses.aim({self._sites[name]: pose for name, pose in targets.items()})
        for _ in range(self.config.iterations):
            self._configuration.update(self._bounds.clip(self._configuration.data.qpos + self._step()))
            position_error, rotation_error = self._poses.largest_errors(self._configuration)
            if position_error < self.config.tolerance_m and rotation_error < self.config.tolerance_rad:
                break
        return IkSolution(self._configuration.data.qpos[self._order], position_error, rotation_error)

    def poses(self, joints_rad: Vector) -> dict[str, Pose]:
        """Forward kinematics: the 4x4 pose of every end effector in the world with the joints at (joints,) rad."""
        self._configuration.update(self._to_model(np.asarray(joints_rad, np.float64)))
        by_site = {}
        for name, site in self._sites.items():
            pose = np.eye(4)
            pose[:3, 3] = self._configuration.data.site_xpos[site]
            pose[:3, :3] = self._configuration.data.site_xmat[site].reshape(3, 3)
            by_site[name] = pose
        return by_site

    def _step(self) -> Vector:
        problem = mink.build_ik(self._configuration, [self._poses], 1.0, 1e-9, [self._bounds])
        free = np.linalg.solve(problem.P, -problem.q)
        if (problem.G @ free <= problem.h).all():  # the best step of all is within the bounds
            return np.asarray(free)
        return np.asarray(solve_problem(problem, solver="quadprog").x)

    def _posture_costs(self) -> Vector:
        costs = np.full(self.model.nv, self.config.posture_cost)
        for name, cost in self.config.joint_costs.items():
            if name not in self.joints:
                raise UnknownNameError.among("joint", name, self.joints)
            costs[self.model.joint(name).dofadr[0]] = cost
        return costs

    def _to_model(self, joints_rad: Vector) -> Vector:
        q = np.empty(self.model.nq)
        q[self._order] = joints_rad
        return q


class _Poses(Task):  # type: ignore[misc]
    """mink's frame and posture tasks in one: errors along the axes of the world, no exponential maps, half the cost.

    The objective is |W_i (J_i dq - e_i)|^2 over the sites, e_i = (position error, rotation vector), plus
    |w (q + dq - posture)|^2.
    """

    def __init__(
        self, model: mujoco.MjModel, config: WholeBodyIkConfig, *, posture: Vector, posture_costs: Vector
    ) -> None:
        costs = np.repeat([config.position_cost, config.rotation_cost], 3)
        super().__init__(cost=costs)
        self._weights, self._posture, self._posture_weights = costs[:, None], posture, posture_costs**2
        self._jacobian = np.empty((6, model.nv))
        self._targets: dict[int, Pose] = {}

    def aim(self, targets: Mapping[int, Pose]) -> None:
        """Set the wanted poses (site id -> 4x4 in the world)."""
        self._targets = dict(targets)

    def largest_errors(self, configuration: mink.Configuration) -> tuple[float, float]:
        """The largest position error in metres and rotation error in radians over the sites."""
        position, rotation = 0.0, 0.0
        for site, target in self._targets.items():
            error = _pose_error(configuration.data, site, target)
            position = max(position, float(np.sqrt(error[:3] @ error[:3])))
            rotation = max(rotation, float(np.sqrt(error[3:] @ error[3:])))
        return position, rotation

    def compute_qp_objective(self, configuration: mink.Configuration) -> Objective:
        """H and c of the objective |dq H dq| / 2 + c dq."""
        hessian = np.diag(self._posture_weights)
        gradient = self._posture_weights * (configuration.data.qpos - self._posture)
        for site, target in self._targets.items():
            mujoco.mj_jacSite(configuration.model, configuration.data, self._jacobian[:3], self._jacobian[3:], site)
            weighted = self._weights * self._jacobian
            error = self._weights[:, 0] * _pose_error(configuration.data, site, target)
            hessian += weighted.T @ weighted
            gradient -= weighted.T @ error
        return Objective(hessian, gradient)

    def compute_error(self, configuration: mink.Configuration) -> Vector:
        """The errors of all sites, one after the other."""
        return np.concatenate([_pose_error(configuration.data, *one) for one in self._targets.items()])

    def compute_jacobian(self, configuration: mink.Configuration) -> Vector:
        """How the errors change with the joints."""
        rows = []
        for site in self._targets:
            jacobian = np.empty_like(self._jacobian)
            mujoco.mj_jacSite(configuration.model, configuration.data, jacobian[:3], jacobian[3:], site)
            rows.append(-jacobian)
        return np.concatenate(rows)


class _JointBounds(Limit):  # type: ignore[misc]
    """Joint ranges, and at most `step_rad` a joint in one iteration: mink's configuration and velocity limit in one."""

    def __init__(self, model: mujoco.MjModel, step_rad: float) -> None:
        self._lower, self._upper = model.jnt_range.T.copy()
        self._step_rad = step_rad
        self._both_ways = np.concatenate([np.eye(model.nv), -np.eye(model.nv)])

    def clip(self, q: Vector) -> Vector:
        return np.minimum(np.maximum(q, self._lower), self._upper)

    def compute_qp_inequalities(self, configuration: mink.Configuration, dt: float) -> Constraint:
        """G dq <= h."""
        q = configuration.data.qpos
        room = np.concatenate([self._upper - q, q - self._lower])
        return Constraint(G=self._both_ways, h=np.minimum(room, self._step_rad))


def _pose_error(data: mujoco.MjData, site: int, target: Pose) -> Vector:
    """What is missing to `target`: (x, y, z, rotation vector) along the axes of the world, (6,)."""
    error, quaternion = np.empty(6), np.empty(4)
    error[:3] = target[:3, 3] - data.site_xpos[site]
    missing = target[:3, :3] @ data.site_xmat[site].reshape(3, 3).T
    mujoco.mju_mat2Quat(quaternion, missing.ravel())
    mujoco.mju_quat2Vel(error[3:], quaternion, 1.0)
    return error


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
