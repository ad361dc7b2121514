"""Whether a job that was planned earlier, perhaps by somebody else, may go on here.

The same versions, the same inputs, and no code that nobody here has agreed to.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.catalog import find_stage
from pipelines.config import NamesFiles
from pipelines.job import DATASET, PlannedJob, PlannedStage, with_dataset
from pipelines.planning.job_file import check_versions, job_names
from storage.datasets.commit import is_committed
from storage.datasets.plan import FOLDER, plan_files, read_plan
from storage.datasets.unit_paths import Sink
from storage.errors import ConfigError, MissingFileError, UnknownNameError

_PLANNERS = frozenset(
    {"pipelines.planning.plan_rounds:numbered_items", "generators.simulation.plan_attempts:next_attempts"}
)
"""What may plan rounds without being asked about."""


def check_resumable(root: Path, job: PlannedJob, *, trust: bool = False) -> None:
    """Raise ConfigError unless `job` of the data set in `root` may go on. `trust` agrees to code outside the data set
    that the plan names."""
    refuse_code_inside(root, job)
    if not trust:
        _refuse_unknown_code(root, job)
    check_versions(job)
    _check_inputs(root, job)


def refuse_lost_jobs(root: Path) -> None:
    """Raise MissingFileError where units are open whose job nobody knows any more: its file is gone."""
    known = set(job_names(root))
    for path in plan_files(root):
        job = path.stem.rpartition("-")[0]  # a merge may have given its plan a longer name: "job.0a1b2c3d"
        units = () if {job, job.rpartition(".")[0]} & known else read_plan(path)
        if any(not is_committed(Sink(root, unit.sink), unit.unit_id) for unit in units):
            raise MissingFileError(
                f"{root / FOLDER / job}.json is not there, and units of {path.name} are open; the command that started"
                " the job writes it again"
            )


def refuse_code_inside(root: Path, job: PlannedJob) -> None:
    """Raise ConfigError when `job` would run a Python file that lies in its data set: data does not bring code."""
    inside = root.resolve()
    for named in _code_named_by(job):
        path = Path(named.replace(DATASET, str(root), 1).partition(".py")[0] + ".py")
        if path.resolve().is_relative_to(inside):
            raise ConfigError(
                f"job {job.name!r} names code inside the data set, {named}; that is never run. Look at it, copy it out"
                f" of {root}, and plan the job with the copy"
            )


def _refuse_unknown_code(root: Path, job: PlannedJob) -> None:
    foreign = [*_files_of_settings(job), *(name for stage in job.stages for name in _unknown(stage))]
    if job.until and job.until.next_items not in _PLANNERS:
        foreign.append(job.until.next_items)
    if foreign:
        raise ConfigError(
            f"job {job.name!r} of {root} runs code that this program does not know: {', '.join(sorted(set(foreign)))}."
            " Resume with --plugin FILE for stages of your own, or with --trust when you trust whoever made the plan"
        )


def _unknown(stage: PlannedStage) -> Iterator[str]:
    """The code of a stage, where it is not that of the stage known here by this name."""
    try:
        known = find_stage(stage.name.partition("#")[0])
    except UnknownNameError:
        known = None
    if known is None or (known.call, known.config) != (stage.row.call, stage.row.config):
        yield from (stage.row.call, stage.row.config)


def _code_named_by(job: PlannedJob) -> Iterator[str]:
    rows = [name for stage in job.stages for name in (stage.row.call, stage.row.config)]
    planner = [job.until.next_items] if job.until else []
    yield from (name for name in (*rows, *planner) if ".py" in name)
    yield from _files_of_settings(job)


def _files_of_settings(job: PlannedJob) -> Iterator[str]:
    """Python files that settings name, such as a task of one's own: "mine.py" or "mine.py:name"."""
    for stage in job.stages:
        yield from (text for text in _texts(stage.settings) if text.partition(":")[0].endswith(".py"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _check_inputs(root: Path, job: PlannedJob) -> None:
    """Raise ConfigError when a file that a stage names holds something else than when the job was planned: half of the
    units would come from one model, half from another."""
    for stage in job.stages:
        before = job.inputs.get(stage.name)
        config = stage.row.make_config(with_dataset(stage.settings, root)) if before else None
        if not before or not isinstance(config, NamesFiles):
            continue
        now = config.inputs()
        changed = sorted(name for name in before if now.get(name) != before[name])
        if changed:
            raise ConfigError(
                f"job {job.name!r}: {', '.join(changed)} of stage {stage.name!r} is not what it was when the job was"
                " planned; put it back and resume, or plan a new job under another name"
            )
