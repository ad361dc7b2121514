"""What a task is: an environment, its robots, and how a demonstration of it splits into subtasks.

A task is data plus a few functions of a *plain* robosuite environment: nothing here asks an environment for a
method that robosuite's own classes lack. Poses are 4x4 homogeneous matrices, float64, of the frame named first in
the frame named last: `cup_in_world`. Names of subtasks are written "arm.subtask".

Methods: MimicGen (arXiv 2310.17596) sections 4.1-4.3 for subtasks and selection, DexMimicGen (arXiv 2410.24185)
section IV for arms and constraints. Settling, checks, speed limits and the reach test are ours.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from generators.simulation.task.execution import Execution
from storage.errors import ConfigError

Environment = Any
"""A robosuite environment (`robosuite.environments.base.MujocoEnv`); robosuite carries no types."""
Pose = NDArray[np.float64]
Action = NDArray[np.float32]

ObjectPoses = Callable[[Environment], Mapping[str, Pose]]
"""Object name -> its pose in the world, now."""
Signals = Callable[[Environment], Mapping[str, bool]]
"""Signal name -> whether it holds now: "grasped", "drawer_open", ..."""
Expert = Callable[[Environment, np.random.Generator], Iterator[Action | tuple[Action, Mapping[str, bool]]]]
"""A scripted demonstrator: yields environment actions one control step at a time (the caller steps), and reads the
environment anew after each; it must not write to it. Ends when it believes that it is done. Beside an action it may
yield signals of its own, true of the state before that action, which are recorded with the demonstration."""
VisualRandomization = Callable[[Any, np.random.Generator], Mapping[str, Any]]
"""(compiled mujoco.MjModel, randomness) -> what was drawn, as JSON. Changes only what is seen (colours, lights,
cameras); undone before the next call."""

SelectionStrategy = Literal["random", "nearest_object", "nearest_robot"]
Scheme = Literal["transform", "translate", "replay"]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm and its hand: `side` of robot number `robot`. `site` is the end effector's MuJoCo site, by default the
    one that robosuite's controller steers (the grip site). A hand command that moves by more than `hand_change`
    in one step (in the units of the command) is a grasp or a release: the arm settles before it."""

    name: str
    robot: int = 0
    side: Literal["right", "left"] = "right"
    site: str = ""
    hand_change: float = 0.5


class Actuation(Protocol):
    """How absolute end-effector targets become the environment's action, and back. Made once for an environment;
    keeps nothing between calls, all it needs is read from the environment's present state."""

    def poses(self) -> dict[str, Pose]:
        """Arm name -> pose of its end-effector site in the world, now."""

    def action(self, targets: Mapping[str, Pose], hands: Mapping[str, NDArray[np.float64]]) -> Action:
        """The environment's action, float32 and within its limits, that brings every arm towards its target pose in
        the world and its hand to the command (the hand's slice of an environment action)."""

    def targets(self, action: Action) -> tuple[dict[str, Pose], dict[str, NDArray[np.float64]]]:
        """The inverse: the absolute targets and hand commands that `action` stands for in the present state."""

    def record(self, action: Action) -> Action:
        """The embodiment's action vector for an environment action. Nothing may be lost:"""

    def recorded(self, vector: Action) -> Action:
        """the inverse of `record`, exact to the bit."""


@dataclass(frozen=True, kw_only=True)
class SimulatedEmbodiment:
    """How an embodiment (`storage.embodiment`) sits in a robosuite environment.

    `state` reads the embodiment's state vector, float32, from an environment whose derived quantities are fresh.
    `controllers` are robosuite composite controller configs, one a robot (None: the robot's default).
    `frame` is the one in which arms under OSC_POSE take their actions. `limb_speed_m_s` and `limb_speed_rad_s` bound
    how fast interpolations move an end effector.
    """

    name: str
    robots: tuple[str, ...]
    arms: tuple[Arm, ...]
    state: Callable[[Environment], NDArray[np.float32]]
    actuation: Callable[[Environment, tuple[Arm, ...]], Actuation]
    controllers: Callable[[], Any] | None = None
    frame: Literal["base", "world"] = "base"
    limb_speed_m_s: float = 0.5
    limb_speed_rad_s: float = 2.0

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"embodiment {self.name!r} needs arms with different names; got {names}")

    @property
    def arm_names(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.arms)


@dataclass(frozen=True, kw_only=True)
class Subtask:
    """One object-centric segment of an arm's demonstration.

    `reference` is the object (a key of the task's object poses) whose frame carries the segment along; None replays it
    where it was. The segment ends when `termination_signal` first holds after the previous segment's end, plus a
    number of steps drawn from `termination_offset` (both ends included); None, for the last one only: with the
    demonstration.
    `check` is a signal that must hold when the segment has been executed; without it the attempt has failed early.
    Noise is added to every target, normal, per axis, also during the interpolation when `noise_during_interpolation`.
    `interpolation_steps` is the least number of steps from the present target to the segment: it grows with the
    distance as the limb's speed asks. `fixed_steps` repeats the segment's first target before it begins.
    """

    name: str
    reference: str | None
    termination_signal: str | None = None
    termination_offset: tuple[int, int] = (0, 0)
    check: str | None = None
    selection: SelectionStrategy = "random"
    nearest_k: int = 3
    rotation_weight_m_per_rad: float = 0.1
    noise_position_m: float = 0.0025
    noise_rotation_rad: float = 0.025
    noise_during_interpolation: bool = False
    interpolation_steps: int = 5
    fixed_steps: int = 0

    def __post_init__(self) -> None:
        low, high = self.termination_offset
        if not self.name or "." in self.name:
            raise ConfigError(f"a subtask's name must be non-empty and free of dots; got {self.name!r}")
        if low > high:
            raise ConfigError(
                f"subtask {self.name!r}: termination_offset is (least, most); got {self.termination_offset}"
            )
        if self.termination_signal is None and self.termination_offset != (0, 0):
            raise ConfigError(
                f"subtask {self.name!r} ends with the demonstration; a termination_offset makes no sense there"
            )
        if self.nearest_k < 1 or self.interpolation_steps < 1 or self.fixed_steps < 0:
            raise ConfigError(
                f"subtask {self.name!r}: nearest_k and interpolation_steps must be >= 1, fixed_steps >= 0"
            )
        if self.noise_position_m < 0 or self.noise_rotation_rad < 0:
            raise ConfigError(f"subtask {self.name!r}: noise must not be negative")
        if self.reference is None and self.selection == "nearest_object":
            raise ConfigError(f"subtask {self.name!r} has no reference object, so no nearest one can be selected")


@dataclass(frozen=True, kw_only=True)
class Coordination:
    """Subtasks of different arms ("arm.subtask") that share one source demonstration and one transform, and end
    together: the arm that is ahead holds. `transform` moves and turns the shared segments with the reference object,
    `translate` only moves them, `replay` leaves them where they were (handovers). The shared transform is taken
    when the first arm arrives, or when all have (`together_from_start`, which makes the early ones wait)."""

    subtasks: tuple[str, ...]
    scheme: Scheme = "transform"
    together_from_start: bool = True


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """`latter` ("arm.subtask") does not move before `former` has finished, or has at most `steps_left` to go; its
    segment is transformed with the object poses of that moment."""

    former: str
    latter: str
    steps_left: int = 0


Constraint = Coordination | Sequential


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A range of initial scenes. `arguments` go to the environment's constructor (a function, where they hold
    samplers: each environment needs fresh ones); `prepare` changes a new environment once, before its first reset
    (ranges of its samplers, for example); `place` moves things after every reset and may use only the randomness
    that it is given."""

    arguments: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = field(default_factory=dict)
    prepare: Callable[[Environment], None] | None = None
    place: Callable[[Environment, np.random.Generator], None] | None = None

    def make_arguments(self) -> dict[str, Any]:
        return dict(self.arguments() if callable(self.arguments) else self.arguments)


def environment_success(environment: Environment) -> bool:
    """robosuite's own success check."""
    return bool(environment._check_success())


@dataclass(frozen=True, kw_only=True)
class Task:
    """Everything the generator needs to know about one task.

    `environment` is a robosuite environment name, "module:Class", or a callable that takes robosuite's keyword
    arguments; `arguments` are further ones of this task (env_configuration, initialization_noise, sizes, ...).
    `subtasks` maps each arm of the embodiment to its subtasks, in order. `instruction` is a text, several to draw
    from, or a function of the environment. `sources` is a robomimic HDF5 file, relative to the shipped sources or
    to the file that declares the task. `variants` is the number of models to draw from: the environment is built
    with seed 0 ... variants-1, so that sizes and textures baked into the XML vary. `visual_randomization` varies what
    is seen. `stepping` "environment" gives up our compiled step loop for `env.step`, for environments that hook into
    each substep in a way that cannot be seen from outside. `version` is raised by hand when a change of a task that
    ships or is installed makes other episodes; `file` is the file that declares it, filled in when a task is found
    (None: it ships).
    """

    name: str
    environment: str | Callable[..., Environment]
    embodiment: SimulatedEmbodiment
    instruction: str | tuple[str, ...] | Callable[[Environment], str]
    subtasks: Mapping[str, tuple[Subtask, ...]]
    object_poses: ObjectPoses
    signals: Signals
    success: Callable[[Environment], bool] = environment_success
    constraints: tuple[Constraint, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    placements: Mapping[str, Placement] = field(default_factory=lambda: {"D0": Placement()})
    horizon: int = 500
    cameras: tuple[str, ...] = ("agentview", "robot0_eye_in_hand")
    expert: str | Expert | None = None
    sources: str | Path | None = None
    variants: int = 1
    visual_randomization: VisualRandomization | None = None
    stepping: Literal["auto", "environment"] = "auto"
    execution: Execution = field(default_factory=Execution)
    version: int = 1
    file: Path | None = None

    @property
    def robot_class(self) -> str:
        return self.embodiment.name

    @property
    def constraint_kinds(self) -> tuple[str, ...]:
        """Kinds of constraint used: "coordination" and "sequential", sorted."""
        return tuple(sorted({type(constraint).__name__.lower() for constraint in self.constraints}))
