"""What runs inside Ray's processes: one row in, one row out, and never an exception.

A row is {"unit": JSON, "state": pickled UnitState or empty, "result": JSON or empty}. A unit that failed in one segment
passes through those after it.
"""

import json
import pickle
from pathlib import Path

import pyarrow

from pipelines.job import PlannedJob
from pipelines.unit.run_unit import UnitWorker
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit

About = tuple[str, str, int, int]
"""Folder of the data set, the planned job as JSON, first stage, end of the range of stages (exclusive)."""

_SCHEMA = pyarrow.schema(
    [("unit", pyarrow.large_string()), ("state", pyarrow.large_binary()), ("result", pyarrow.large_string())]
)
_worker: tuple[About, UnitWorker] | None = None


def run_row(about: About, row: pyarrow.Table) -> pyarrow.Table:
    """One unit through a segment, in a task. The stages are kept for the next unit of the same segment."""
    global _worker
    if _worker is None or _worker[0] != about:
        if _worker is not None:
            _worker[1].close()
        _worker = (about, _make(about))
    return _through(_worker[1], row)


class SegmentActor:
    """The same in an actor, which keeps its stages for as long as it lives."""

    def __init__(self, about: About) -> None:
        # Nothing that can fail: an actor that dies here takes the whole run with it.
        self._about = about
        self._worker: UnitWorker | None = None

    def __call__(self, row: pyarrow.Table) -> pyarrow.Table:
        self._worker = self._worker or _make(self._about)
        return _through(self._worker, row)


def _make(about: About) -> UnitWorker:
    root, job, first, end = about
    return UnitWorker(Path(root), PlannedJob.from_json(json.loads(job)), first=first, end=end)


def _through(worker: UnitWorker, row: pyarrow.Table) -> pyarrow.Table:
    (record,) = row.to_pylist()
    if record["result"]:
        return _row(record["unit"], b"", record["result"])
    unit = WorkUnit.from_text(record["unit"])
    after = worker(pickle.loads(record["state"]) if record["state"] else unit)
    if isinstance(after, UnitResult):
        return _row(record["unit"], b"", after.to_text())
    return _row(record["unit"], pickle.dumps(after, protocol=5), "")


def _row(unit: str, state: bytes, result: str) -> pyarrow.Table:
    return pyarrow.table({"unit": [unit], "state": [state], "result": [result]}, schema=_SCHEMA)
