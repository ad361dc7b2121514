"""Two arms side by side at a table: what the scenes of ours for dexterous hands share."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from robosuite.environments.manipulation.two_arm_env import TwoArmEnv
from robosuite.models.arenas import TableArena
from robosuite.models.objects import MujocoObject
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.observables import Observable, sensor
from robosuite.utils.transform_utils import convert_quat

from storage.errors import UnknownNameError

TABLE_TOP_M = 0.8
ARM_OFFSETS_M = (-0.25, 0.25)
"""Where the bases stand across the table: robot 0 on the right of someone who faces it, robot 1 on the left."""

HEAD_VIEW: Mapping[str, Any] = {"pos": (-0.62, 0.0, 1.72), "quat": (-0.6669, -0.235, 0.235, 0.6669)}
"""The camera "agentview" (m, wxyz): from between the arms, where a head would be, down onto the table."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where an object may stand: limits of x and y in metres in the world, and of yaw in radians."""

    x: tuple[float, float] = (0.0, 0.0)
    y: tuple[float, float] = (0.0, 0.0)
    yaw: tuple[float, float] = (0.0, 0.0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """(x, y, yaw), uniform."""
        return float(rng.uniform(*self.x)), float(rng.uniform(*self.y)), float(rng.uniform(*self.yaw))


class TwoHandsAtTable(TwoArmEnv):  # type: ignore[misc]
    """A scene on a table in front of two arms. Subclasses say which objects there are, how they are placed and what
    success is. `ranges` replaces some of the default ranges of the initial scene."""

    default_ranges: ClassVar[Mapping[str, Range]] = {}

    def __init__(
        self,
        robots: Any,
        *,
        ranges: Mapping[str, Range] | None = None,
        env_configuration: str = "parallel",
        table_full_size: tuple[float, float, float] = (0.8, 1.2, 0.05),
        use_object_obs: bool = True,
        **settings: Any,
    ) -> None:
        for name in ranges or {}:
            if name not in self.default_ranges:
                raise UnknownNameError.among("range", name, self.default_ranges)
        self.ranges = {**self.default_ranges, **(ranges or {})}
        self.table_full_size = table_full_size
        self.use_object_obs = use_object_obs
        super().__init__(robots=robots, env_configuration=env_configuration, **settings)

    @abstractmethod
    def _make_objects(self) -> list[MujocoObject]:
        """The objects of the scene, new ones."""

    @abstractmethod
    def _place_objects(self, rng: np.random.Generator) -> None:
        """Put every object where an episode starts."""

    def reward(self, action: Any = None) -> float:
        """1 when the task is solved, else 0."""
        return float(self._check_success())

    def place(self, thing: MujocoObject, position_m: tuple[float, float, float], yaw_rad: float) -> None:
        """Put a free object upright at a position in the world, at rest."""
        quaternion_wxyz = (np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2))
        self.sim.data.set_joint_qpos(thing.joints[0], np.array([*position_m, *quaternion_wxyz]))

    def position_in(self, frame: str, point_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """A point of the world (3,) in the frame of the body called `frame`."""
        body = self.sim.model.body_name2id(frame)
        rotation = self.sim.data.body_xmat[body].reshape(3, 3)
        return np.asarray(rotation.T @ (point_m - self.sim.data.body_xpos[body]))

    def _load_model(self) -> None:
        super()._load_model()
        for robot, offset in zip(self.robots, ARM_OFFSETS_M, strict=True):
            base = np.array(robot.robot_model.base_xpos_offset["table"](self.table_full_size[0]))
            robot.robot_model.set_base_xpos(base + np.array([0.0, offset, 0.0]))
        arena = TableArena(table_full_size=self.table_full_size, table_offset=(0, 0, TABLE_TOP_M))
        arena.set_origin([0, 0, 0])
        arena.set_camera("agentview", camera_attribs={"fovy": "62"}, **HEAD_VIEW)
        self.objects = self._make_objects()
        self.model = ManipulationTask(
            mujoco_arena=arena,
            mujoco_robots=[robot.robot_model for robot in self.robots],
            mujoco_objects=self.objects,
        )

    def _reset_internal(self) -> None:
        super()._reset_internal()
        if not self.deterministic_reset:
            self._place_objects(self.rng)

    def _setup_observables(self) -> Any:
        observables = super()._setup_observables()
        if self.use_object_obs:
            for thing in self.objects:
                for observable in self._pose_observables(thing):
                    observables[observable.name] = observable
        return observables

    def _pose_observables(self, thing: MujocoObject) -> list[Observable]:
        body = self.sim.model.body_name2id(thing.root_body)

        @sensor(modality="object")  # type: ignore[untyped-decorator]
        def position(_: Any) -> NDArray[np.float64]:
            return np.array(self.sim.data.body_xpos[body])

        @sensor(modality="object")  # type: ignore[untyped-decorator]
        def quaternion_xyzw(_: Any) -> NDArray[np.float64]:
            return np.asarray(convert_quat(np.array(self.sim.data.body_xquat[body]), to="xyzw"))

        readings = {f"{thing.name}_pos": position, f"{thing.name}_quat": quaternion_xyzw}
        return [
            Observable(name=name, sensor=reading, sampling_rate=self.control_freq) for name, reading in readings.items()
        ]
