"""How attempts are executed: the switches beyond the papers, each with its measured effect in benchmarks/RESULTS.md."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from storage.errors import ConfigError, UnknownNameError

Quality = Literal["fast", "full"]
"""How pictures are drawn: "fast" with decimated meshes, without reflections and multisampling; "full" as robosuite."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Switches of one attempt; a task ships defaults, a job may replace them.

    `sources_per`: one source demonstration for the whole attempt, one for each arm, or one for each subtask.
    `settle_steps`: before a hand opens or closes, the arm holds until it is within `settle_position_m` and
    `settle_rotation_rad` of its target, at most so many steps (0: off).
    `check_subtasks`: a subtask's check that does not hold ends the attempt at once.
    `retries`: how often in one attempt a failed subtask is tried again from the snapshot taken at its start.
    `check_reach`: transformed segments are tested by inverse kinematics and for collisions before they are executed.
    `limit_speed`: interpolations are as long as the limb's speed asks; off: always the subtask's `interpolation_steps`.
    `success_steps`: success must hold for so many steps in a row after the last subtask, within `patience_steps` more.
    `noise_scale`: a factor on the noise of every subtask.
    """

    sources_per: Literal["attempt", "arm", "subtask"] = "attempt"
    settle_steps: int = 6
    settle_position_m: float = 0.008
    settle_rotation_rad: float = 0.08
    check_subtasks: bool = True
    retries: int = 0
    check_reach: bool = False
    limit_speed: bool = True
    success_steps: int = 5
    patience_steps: int = 15
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("settle_steps", "retries", "patience_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more; got {getattr(self, name)}")
        if self.noise_scale < 0:
            raise ConfigError(f"noise_scale (--noise) must be 0 or more; got {self.noise_scale}")
        if self.success_steps < 1:
            raise ConfigError(f"success_steps must be at least 1; got {self.success_steps}")


def execution_record(execution: Execution) -> dict[str, Any]:
    """An execution as provenance stores it: switches that came later are named only where they are not at rest."""
    record = asdict(execution)
    if execution.noise_scale == 1.0:
        del record["noise_scale"]
    return record


def execution_with(changes: Mapping[str, Any], default: Execution | None = None) -> Execution:
    """`default` with some switches replaced; raises UnknownNameError for one that does not exist."""
    known = {one.name for one in fields(Execution)}
    for name in changes:
        if name not in known:
            raise UnknownNameError.among("switch of the execution", name, known)
    return replace(default or Execution(), **changes)
