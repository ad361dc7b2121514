"""The public face of this package: `run_job` does a job, `resume` what is left of those of a folder, `status` looks on.

Downwards from here: run_job -> run_rounds -> Driver.work_through -> Engine.attempt -> UnitWorker -> the stage.
"""

from pathlib import Path

from pipelines.engines.options import EngineOptions
from pipelines.job import Job, PlannedJob
from pipelines.planning.growing import not_planned_yet
from pipelines.planning.job_file import job_names, read_job, write_job
from pipelines.planning.plan import planned, units_of
from pipelines.planning.resume_check import check_resumable, refuse_code_inside, refuse_lost_jobs
from pipelines.progress.job_counts import JobResult
from pipelines.progress.status import JobStatus, status
from pipelines.refuse_damage import refuse_damage
from pipelines.run_rounds import run_rounds
from pipelines.unit.failure import can_write
from storage.datasets.dataset import Dataset
from storage.datasets.plan import write_plan
from storage.datasets.unit_paths import Sink
from storage.errors import AlreadyWrittenError, WorldError

__all__ = ["EngineOptions", "JobResult", "JobStatus", "resume", "run_job", "status"]


def run_job(dataset_root: Path, job: Job, options: EngineOptions = EngineOptions()) -> JobResult:  # noqa: B008
    """Plan `job` in the data set at `dataset_root` (made when missing) and run it to its end.

    Running again a job that ran before does what is left of it, and what it is asked for now besides (see
    `pipelines.planning.growing`). Raises ConfigError before anything starts when the job
    cannot work, WorkFailedError when too much of it failed.
    """
    root = Path(dataset_root).absolute()
    settled = planned(job)
    refuse_code_inside(root, settled)
    units = units_of(settled, job.units)
    dataset = Dataset.create_or_open(root, name=root.name)
    _check_output(root)
    _check_labels(root, settled)
    _check_topping_up(root, settled)
    dataset.declare(*job.embodiments)
    settled = write_job(root, settled)
    if more := not_planned_yet(root, settled, units) if units else ():
        write_plan(root, more)
    return run_rounds(root, settled, options)


def resume(
    dataset_root: Path,
    job: str | None = None,
    options: EngineOptions = EngineOptions(),  # noqa: B008
    *,
    retry_failed: bool = True,
    trust: bool = False,
) -> tuple[JobResult, ...]:
    """Do what is left of every job of a data set, or of `job`, in the order in which they were planned.

    What is left is the plan minus the manifests; units that were given up are tried again unless `retry_failed` is off.
    The folder is all it takes, and the engine may be another than the one that began. Raises CorruptFileError where
    committed files are missing or too short, MissingFileError where the file of a job with open units is gone, and
    ConfigError where the files that a stage names (a model) have changed, or where the plan names code that this
    program does not know, unless `trust` says that its maker is trusted.
    """
    root = Path(dataset_root).absolute()
    refuse_damage(root)
    Dataset.open(root)
    _check_output(root)
    jobs = [read_job(root, name) for name in (job_names(root) if job is None else [job])]
    if job is None:
        refuse_lost_jobs(root)
    for each in jobs:
        check_resumable(root, each, trust=trust)
    return tuple(run_rounds(root, each, options, retry_failed=retry_failed) for each in jobs)


def _check_output(root: Path) -> None:
    """Raise WorldError when nothing can be written into the data set in `root`."""
    if not can_write(root):
        raise WorldError(
            f"{root} cannot be written: read-only, or the disk is full; choose another folder or make room"
        )


def _check_topping_up(root: Path, job: PlannedJob) -> None:
    """Two jobs that count on the same attempts would make the same episodes twice."""
    for name in job_names(root) if job.until else ():
        other = read_job(root, name)
        same = (other.config_hash, other.seed, other.sink) == (job.config_hash, job.seed, job.sink)
        if name != job.name and other.until and same:
            raise AlreadyWrittenError(
                f"job {name!r} of {root} makes the same episodes as {job.name!r} would: the same settings and seed. Ask"
                f" for more under the name {name!r}, or take another seed"
            )


def _check_labels(root: Path, job: PlannedJob) -> None:
    """Labels of one name are of one making: mixing two would make a data set that lies about itself."""
    for name in job_names(root) if Sink(root, job.sink).is_labels else ():
        other = read_job(root, name)
        if other.sink == job.sink and other.config_hash != job.config_hash:
            raise AlreadyWrittenError(
                f"{job.sink} of {root} is made by job {name!r} with other settings or another model; give these labels"
                " another name, or write to a new folder"
            )
