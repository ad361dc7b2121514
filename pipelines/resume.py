"""Going on where a run stopped: the folder of the data set is all it takes."""

from pathlib import Path

from pipelines.engines.engine import EngineName
from pipelines.job_counts import JobResult
from pipelines.job_file import check_versions, job_names, read_job
from pipelines.progress import Progress
from pipelines.run_plan import How, check_output, run_rounds
from storage.datasets.dataset import Dataset


def resume(
    dataset_root: Path,
    job: str | None = None,
    *,
    engine: EngineName = "local",
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    retry_failed: bool = True,
) -> tuple[JobResult, ...]:
    """Do what is left of every job of a data set, or of `job`, in the order in which they were planned.

    What is left is the plan minus the manifests; units that were given up are tried again unless `retry_failed` is off.
    The engine may be another than the one that began.
    """
    root = Path(dataset_root).absolute()
    how = How(engine=engine, address=address, workers=workers, progress=progress, retry_failed=retry_failed)
    Dataset.open(root)
    check_output(root)
    jobs = [read_job(root, name) for name in (job_names(root) if job is None else [job])]
    for each in jobs:
        check_versions(each)
    return tuple(run_rounds(root, each, how) for each in jobs)
