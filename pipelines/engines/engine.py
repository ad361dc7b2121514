"""What the engines have in common."""

from collections.abc import Generator, Sequence
from typing import Literal, Protocol

from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit

EngineName = Literal["local", "ray"]


class Engine(Protocol):
    """Attempts units. A unit that fails is a result too; only a broken world is raised."""

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        """One attempt at each unit, results as they come. `alone`: one at a time, in fresh processes or stages.

        A unit is missing from the results when the process that worked on it died before it could say so. Closing the
        generator stops what has not begun.
        """
        ...

    def explain(self, unit: WorkUnit) -> UnitResult:
        """What can be said about a unit that was missing from the results of an attempt."""
        ...

    def close(self) -> None:
        """Let go of processes and stages."""
        ...
