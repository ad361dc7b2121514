"""The local engine: units one after the other in this process. The reference, and the place to debug.

It has no second process to lose: a stage that crashes the interpreter (a segmentation fault, `os._exit`) ends the run.
Everything committed stays, and `resume` goes on; on the Ray engine such a unit becomes a dead letter.
"""

from collections.abc import Generator, Sequence
from pathlib import Path

from pipelines.job import PlannedJob
from pipelines.unit.run_unit import UnitWorker
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit


class LocalEngine:
    """Runs the stages of `job` here."""

    def __init__(self, root: Path, job: PlannedJob) -> None:
        self._worker = UnitWorker(root, job)

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        for unit in units:
            if alone:
                self._worker.close()
            result = self._worker(unit)
            assert isinstance(result, UnitResult), "a worker that has all stages commits"
            yield result

    def close(self) -> None:
        self._worker.close()
