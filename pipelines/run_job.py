"""Running a new job: check it, plan it, do it. The three doors of this package are `run_job`, `resume` and `status`."""

from pathlib import Path

from pipelines.engines.engine import EngineName
from pipelines.job import Job, PlannedJob
from pipelines.job_counts import JobResult
from pipelines.job_file import job_names, read_job, write_job
from pipelines.plan import planned, units_of
from pipelines.progress import Progress
from pipelines.resume import resume
from pipelines.run_plan import How, check_output, run_rounds
from pipelines.status import status
from storage.datasets.dataset import Dataset
from storage.datasets.plan import write_plan
from storage.datasets.unit_paths import Sink
from storage.errors import AlreadyWrittenError

__all__ = ["resume", "run_job", "status"]


def run_job(
    dataset_root: Path,
    job: Job,
    *,
    engine: EngineName = "local",
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> JobResult:
    """Plan `job` in the data set at `dataset_root` (made when missing) and run it to its end.

    `workers` and `address` are the Ray engine's: processes at a time, and the cluster ("auto", "host:port", "ray://...";
    none: one of its own on this machine). Running again a job that ran before does what is left of it. Raises
    WorkFailedError when too much failed, ConfigError before anything starts when the job cannot work.
    """
    root = Path(dataset_root).absolute()
    how = How(engine=engine, address=address, workers=workers, progress=progress)
    settled = planned(job)
    units = units_of(settled, job.units)
    Dataset.create_or_open(root, name=root.name)
    check_output(root)
    _check_labels(root, settled)
    settled = write_job(root, settled)
    if units:
        write_plan(root, units)
    return run_rounds(root, settled, how)


def _check_labels(root: Path, job: PlannedJob) -> None:
    """Labels of one name are of one making: mixing two would make a data set that lies about itself."""
    for name in job_names(root) if Sink(root, job.sink).is_labels else ():
        other = read_job(root, name)
        if other.sink == job.sink and other.config_hash != job.config_hash:
            raise AlreadyWrittenError(
                f"{job.sink} of {root} is made by job {name!r} with other settings or another model; give these labels"
                " another name, or write to a new folder"
            )
