"""Ranges of initial scenes, for `Placement.prepare`."""

from collections.abc import Callable
from typing import Any

from generators.simulation.task.specification import Environment
from storage.errors import ConfigError

Range = tuple[float, float]


def with_ranges(
    *, x: Range | None = None, y: Range | None = None, rotation: Range | None = None, sampler: str = ""
) -> Callable[[Environment], None]:
    """A `prepare` that sets the ranges of robosuite's placement sampler: metres around its reference point, radians.

    `sampler` names one of several; empty for an environment with a single one.
    """

    def prepare(environment: Environment) -> None:
        initializer: Any = getattr(environment, "placement_initializer", None)
        if sampler:
            initializer = getattr(initializer, "samplers", {}).get(sampler)
        if not hasattr(initializer, "x_range"):
            raise ConfigError(f"the environment has no placement sampler {sampler!r} with ranges to set")
        initializer.x_range, initializer.y_range = list(x or initializer.x_range), list(y or initializer.y_range)
        initializer.rotation = list(rotation) if rotation else initializer.rotation

    return prepare
