"""The local engine: units one after the other in this process. The reference, and the place to debug.

It has no second process to lose: a stage that crashes the interpreter (a segmentation fault) ends the run. Everything
committed stays, and `resume` goes on. A unit that has crashed as many runs as it may be tried becomes a dead letter
before it can crash another one.
"""

from collections.abc import Generator, Sequence
from pathlib import Path

from pipelines.job import PlannedJob
from pipelines.unit.crash_recorder import discard_recording, read_recording
from pipelines.unit.process_death import died_too_often
from pipelines.unit.run_unit import UnitWorker
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit


class LocalEngine:
    """Runs the stages of `job` here."""

    def __init__(self, root: Path, job: PlannedJob) -> None:
        self._root, self._attempts = root, job.policy.attempts
        self._worker = UnitWorker(root, job, interrupt=True)
        self._given_up: set[str] = set()

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        for unit in units:
            crashed = died_too_often(unit, read_recording(self._root, unit.unit_id), attempts=self._attempts)
            if crashed is not None:
                self._given_up.add(unit.unit_id)
                yield crashed
                continue
            if alone:
                self._worker.close()
            result = self._worker(unit)
            assert isinstance(result, UnitResult), "a worker that has all stages commits"
            yield result

    def close(self) -> None:
        self._worker.close()
        for unit_id in self._given_up:
            discard_recording(self._root, unit_id)
