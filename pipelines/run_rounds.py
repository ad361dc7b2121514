"""A planned job to its end: round by round, with the engine that is asked for."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipelines.driver import Driver
from pipelines.engines.engine import Engine, start_engine
from pipelines.engines.options import EngineOptions
from pipelines.job import PlannedJob
from pipelines.planning.plan_rounds import next_round
from pipelines.planning.versions import versions
from pipelines.progress.job_counts import JobResult, Tally, dead_letters_of, tally_of
from pipelines.progress.listener import Silent
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import bury
from storage.datasets.plan import WorkUnit, plan_path, read_plan, read_plans, write_plan
from storage.datasets.unit_paths import SHARDS, Sink
from storage.embodiment import EMBODIMENTS
from storage.errors import MissingFileError
from storage.verification.twins import refuse_twins

_LOG = logging.getLogger(__name__)


def run_rounds(root: Path, job: PlannedJob, options: EngineOptions, *, retry_failed: bool = True) -> JobResult:
    """Everything of `job` that is left to do. The data set's index is brought up to date afterwards."""
    began_s = time.monotonic()
    progress = options.progress or Silent()
    job = replace(job, versions=versions())
    tally = Tally(job=job.name, target=job.until.kept if job.until else 0, root=str(root))
    engine: Engine | None = None
    progress.begin(tally)
    try:
        for units in _rounds(root, job, tally):
            left = _left(root, units, tally, retry_failed=retry_failed)
            progress.changed(tally)
            if left:
                engine = engine or start_engine(root, job, options)
                Driver(root, job, engine, tally=tally, progress=progress).work_through(left)
    finally:
        if engine is not None:
            engine.close()
        progress.end(tally)
    bury(Sink(root, job.sink))
    dataset = Dataset.open(root)
    _tidy(dataset)
    if job.sink == SHARDS:
        refuse_twins(dataset)
    letters = dead_letters_of(root, read_plans(root, job.name))
    return JobResult(tally=tally, dead_letters=letters, seconds=time.monotonic() - began_s)


def _rounds(root: Path, job: PlannedJob, tally: Tally) -> Iterator[tuple[WorkUnit, ...]]:
    """The rounds of a job's plan: those on the disk, then, for a job with `until`, new ones as they are needed."""
    number = 0
    while units := _round(root, job, tally, number=number):
        yield units
        number += 1


def _round(root: Path, job: PlannedJob, tally: Tally, *, number: int) -> tuple[WorkUnit, ...]:
    path = plan_path(root, job.name, number)
    if path.exists():
        return read_plan(path)
    if job.until is None:
        if number == 0:
            raise MissingFileError(
                f"the plan of job {job.name!r} is missing ({path}); the command that started the job writes it again"
            )
        return ()
    units = next_round(job, tally, number)
    if units:
        write_plan(root, units)
    return units


def _left(root: Path, units: tuple[WorkUnit, ...], tally: Tally, *, retry_failed: bool) -> list[WorkUnit]:
    """The units of a round that are to do; `tally` takes in what is done."""
    sink = Sink(root, units[0].sink)
    done = sink.committed() | (set() if retry_failed else sink.dead())
    tally.absorb(tally_of(root, tally.job, units), dead_too=not retry_failed)
    return [unit for unit in units if unit.unit_id not in done]


def _tidy(dataset: Dataset) -> None:
    """Bring the index up to date, and declare embodiments of units whose process died before it could name them."""
    dataset.compact()
    missing = {str(layout["embodiment"]) for layout in dataset.index.layouts} - dataset.embodiments.keys()
    for name in missing - EMBODIMENTS.keys():
        _LOG.warning("%s holds episodes of %r, which nobody here declares", dataset.root, name)
    if known := [EMBODIMENTS[name] for name in sorted(missing & EMBODIMENTS.keys())]:
        dataset.declare(*known)
