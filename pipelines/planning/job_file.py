"""`plan/<job>.json`: the resolved config of a job. With the plan beside it, the folder is all a resume needs."""

from dataclasses import replace
from pathlib import Path

from pipelines.catalog import find_stage
from pipelines.job import PlannedJob
from storage.atomic_files import read_json, sealed_json_bytes, write_whole
from storage.datasets.plan import FOLDER
from storage.errors import AlreadyWrittenError, ConfigError, CorruptFileError, UnknownNameError

JOB_VERSION = 1


def job_names(root: Path) -> list[str]:
    """The jobs of a data set, in the order in which they were planned."""
    names = [path.stem for path in (root / FOLDER).glob("*.json")]
    return sorted(names, key=lambda name: (read_json(_path(root, name)).get("number", 0), name))


def write_job(root: Path, job: PlannedJob) -> PlannedJob:
    """Record `job`; returns it as recorded. A job of this name that would do other work raises AlreadyWrittenError; one
    that wants more or fewer episodes of the same work goes on from what is there."""
    path = _path(root, job.name)
    number = len(job_names(root))
    if path.exists():
        known = read_job(root, job.name)
        number = known.number
        _refuse_changed_inputs(path, known, job)
        if not known.same_work(job):
            raise AlreadyWrittenError(
                f"{path} is a job of the same name with other stages or settings; resume that one, or name this one"
                " differently"
            )
    job = replace(job, number=number)
    write_whole(path, sealed_json_bytes({"job_version": JOB_VERSION, **job.to_json()}))
    return job


def _refuse_changed_inputs(path: Path, known: PlannedJob, job: PlannedJob) -> None:
    """Raise AlreadyWrittenError where only what the job works on has changed: the file of a task, its sources."""
    if not (known.until and job.until):
        return
    before, now = known.until.inputs, job.until.inputs
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        raise AlreadyWrittenError(
            f"job {job.name!r} of {path.parent.parent} was planned with other content of: {', '.join(changed)}. Its"
            " episodes were made from that; put it back to go on, or generate into a new folder"
        )


def read_job(root: Path, name: str) -> PlannedJob:
    """The job called `name`; raises UnknownNameError or CorruptFileError."""
    path = _path(root, name)
    if not path.exists():
        raise UnknownNameError.among("job", name, job_names(root))
    record = read_json(path)
    if record.pop("job_version", None) != JOB_VERSION:
        raise CorruptFileError(f"{path} is no job of version {JOB_VERSION}")
    try:
        return PlannedJob.from_json(record)
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"{path} lacks or has too much: {error}") from error


def check_versions(job: PlannedJob) -> None:
    """Refuse to go on with a job whose stages have another version in this program: the units would not match."""
    for stage in job.stages:
        try:
            here = find_stage(stage.name.partition("#")[0])
        except UnknownNameError:
            continue  # a user's stage; its row travels in the job
        if here.version != stage.row.version:
            raise ConfigError(
                f"job {job.name!r} was planned with version {stage.row.version} of stage {stage.name!r}, this program"
                f" has version {here.version}; go on with the program that planned it, or plan a new job"
            )


def _path(root: Path, name: str) -> Path:
    return root / FOLDER / f"{name}.json"
