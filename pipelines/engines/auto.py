"""The engine that chooses: one process for what is small, all cores by Ray for what is not. The bytes are the same."""

import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from pipelines.engines.engine import Engine
from pipelines.engines.local import LocalEngine
from pipelines.job import PlannedJob
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit
from storage.errors import ConfigError

WORTH_S = 40.0
"""Ray and its workers take some ten seconds to start: fewer seconds of work than these stay in one process."""
MANY_UNITS = 4
"""A job with a simulator or a model, and so many units for each core, goes to Ray at once."""


class AutoEngine:
    """Begins in this process, and moves what is left to Ray when the units so far say that it pays. `start_ray` makes
    the Ray engine; `say` tells people what was chosen."""

    def __init__(
        self,
        root: Path,
        job: PlannedJob,
        *,
        start_ray: Callable[[], Engine],
        say: Callable[[str], None],
        cores: int | None = None,
    ) -> None:
        self._engine: Engine = LocalEngine(root, job)
        self._job, self._start_ray, self._say = job, start_ray, say
        self._cores = cores or usable_cores()
        self._may_move = self._cores > 1
        self._said = False

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        if self._may_move and self._heavy and len(units) >= MANY_UNITS * self._cores:
            self._move(f"{len(units)} units")
        elif self._may_move and not self._said:
            self._told(f"{self._job.name}: in one process, on all {self._cores} cores when that pays")
        waiting, began_s = iter(units), time.monotonic()
        done = 0
        while self._may_move and not alone:
            unit = next(waiting, None)
            if unit is None:
                return
            yield from self._engine.attempt([unit], alone=False)
            done += 1
            left = len(units) - done
            left_s = left * (time.monotonic() - began_s) / done
            if left > 1 and left_s >= WORTH_S:
                self._move(f"{left} units are left, some {left_s:.0f} s in one process")
        rest = list(waiting)
        if rest:
            yield from self._engine.attempt(rest, alone=alone)

    def close(self) -> None:
        self._engine.close()

    @property
    def _heavy(self) -> bool:
        return any(stage.row.process != "any" for stage in self._job.stages)

    def _move(self, why: str) -> None:
        """Go to Ray; stay here where it cannot do the job."""
        self._may_move = False
        try:
            ray = self._start_ray()
        except ConfigError as error:
            self._told(f"{self._job.name}: {why}; one process goes on, for Ray workers have no room: {error}")
            return
        self._engine.close()
        self._engine = ray
        self._told(f"{self._job.name}: {why}; Ray workers on {self._cores} cores")

    def _told(self, text: str) -> None:
        self._said = True
        self._say(text)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
