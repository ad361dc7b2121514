"""Driving a job: attempts, retries, dead letters, and when to stop. The driver may die at any time; the folder knows.

open units --> all together --> what failed, again --> ... --> the last time alone --> dead letter
"""

import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from pipelines.engines.engine import Engine
from pipelines.job import PlannedJob
from pipelines.progress.job_counts import Tally
from pipelines.progress.listener import Progress
from pipelines.unit.failure import Failure
from pipelines.unit.unit_result import UnitResult
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import DeadLetter, write_dead_letter
from storage.datasets.plan import WorkUnit
from storage.datasets.unit_paths import Sink
from storage.embodiment import Embodiment
from storage.errors import WorkFailedError

_LOG = logging.getLogger(__name__)
_FEW_UNITS = 10
_FEW_FAILURES = 5
_LONGEST_CAUSE = 300

Open = dict[str, WorkUnit]
Failed = dict[str, UnitResult]


class Driver:
    """Works through units of one job with an engine, keeping `tally`."""

    def __init__(self, root: Path, job: PlannedJob, engine: Engine, *, tally: Tally, progress: Progress) -> None:
        self._root, self._job, self._engine = root, job, engine
        self._tally, self._progress = tally, progress
        self._declared = set(Dataset.open(root).embodiments)
        self._causes: Counter[str] = Counter()
        self._said: set[tuple[str, str, str]] = set()

    def work_through(self, units: Iterable[WorkUnit]) -> None:
        """Bring every unit to a manifest or a dead letter.

        Raises WorkFailedError when more failed than the policy allows, WorldError when the data set cannot be written,
        and the stage's own error when a stage cannot be made.
        """
        waiting: Open = {unit.unit_id: unit for unit in units}
        attempts = self._job.policy.attempts
        while waiting:
            trying: tuple[str, ...] = tuple(waiting)
            failed: Failed = {}
            for number in range(1, attempts + 1):
                alone, failed = number == attempts > 1, {}
                with closing(self._engine.attempt([waiting[each] for each in trying], alone=alone)) as results:
                    for ended, result in enumerate(results, start=1):
                        self._take(result, waiting, failed)
                        if not alone and self._looks_sick(len(failed), ended):
                            break  # the rest had better wait until this is settled
                if not failed:
                    break
                _LOG.info("job %s: %d units failed in attempt %d of %d", self._job.name, len(failed), number, attempts)
                trying = tuple(failed)
            for unit_id, result in failed.items():
                self._give_up(waiting.pop(unit_id), result)
            self._judge(ended=not waiting)

    def _take(self, result: UnitResult, waiting: Open, failed: Failed) -> None:
        failure = result.failure
        if failure is None:
            self._declare(result)
            self._causes.update([result.refusal] if result.refusal else [])
            self._tally.commit(result)
            del waiting[result.unit_id]
        elif failure.ends_the_job:
            failure.raise_again(self._job.name)
        else:
            said = (result.unit_id, failure.stage, failure.message)
            _LOG.log(logging.INFO if said in self._said else logging.WARNING, "unit %s failed in stage %s: %s", *said)
            self._said.add(said)
            failed[result.unit_id] = result
        self._progress.changed(self._tally)

    def _declare(self, result: UnitResult) -> None:
        embodiments = [Embodiment.from_json(each) for each in result.embodiments if each["name"] not in self._declared]
        if embodiments:
            Dataset.open(self._root).declare(*embodiments)
            self._declared |= {embodiment.name for embodiment in embodiments}

    def _give_up(self, unit: WorkUnit, result: UnitResult) -> None:
        failure = result.failure
        assert isinstance(failure, Failure)
        letter = DeadLetter(
            unit_id=unit.unit_id,
            job=unit.job,
            sink=unit.sink,
            stage=failure.stage,
            attempts=max(result.attempts, self._job.policy.attempts),
            host=failure.host,
            error=failure.error,
            message=failure.message,
            traceback=failure.traceback,
        )
        write_dead_letter(self._root, letter)
        self._causes[": ".join(filter(None, (failure.stage, failure.message)))] += 1
        self._tally.give_up(unit)
        self._progress.changed(self._tally)

    def _looks_sick(self, failed: int, ended: int) -> bool:
        return failed >= _FEW_FAILURES and failed > self._job.policy.max_failed_fraction * ended

    def _judge(self, *, ended: bool) -> None:
        """Raise WorkFailedError when too much has failed for good; not before a few units say so."""
        allowed, tally = self._job.policy.max_failed_fraction, self._tally
        enough = ended or allowed == 0 or tally.committed_units + tally.dead_units >= _FEW_UNITS
        if tally.failed_items and enough and tally.failed_fraction > allowed:
            raise WorkFailedError(
                f"job {self._job.name!r}: {tally.failed_items} of {tally.committed_items + tally.dead_items} items"
                f" failed, more than the {allowed:.0%} that max_failed_fraction allows; {tally.dead_units} units were"
                f" given up (see {Sink(self._root, self._job.sink).dead_letters}), {tally.open_units} were not tried."
                f" What is committed stays; mend the cause and resume{self._most_frequent_cause()}"
            )

    def _most_frequent_cause(self) -> str:
        if not self._causes:
            return ""
        ((cause, _),) = self._causes.most_common(1)
        first_line = cause.splitlines()[0]
        return (
            f"; most frequent cause: {first_line[:_LONGEST_CAUSE]}{'...' if len(first_line) > _LONGEST_CAUSE else ''}"
        )
