"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.engines.engine import EngineName
from pipelines.job import Job
from pipelines.plan import describe, planned, units_of
from pipelines.progress import ProgressLines
from workflows.run_context import RunContext

EngineOption = Annotated[EngineName, typer.Option(help="One process here, or Ray workers.")]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster: auto, host:port or ray://host:port. None: one of its own here.")
]
Workers = Annotated[int | None, typer.Option(help="Ray workers at a time; as many as fit by default.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
DatasetOutput = Annotated[
    str, typer.Option("--output", "-o", help="Folder of the data set, made or added to; runs/NAME by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print for machines.")]


def name_of(source: str) -> str:
    """What a data set or a job is called that is made from `source`: a task, a file, a folder."""
    return Path(source).resolve().stem


def folder_for(output: str, source: str) -> str:
    """Where a data set goes that is made from `source`: `output`, or runs/<its name>."""
    return output or f"runs/{name_of(source)}"


def context_for(
    output: str | Path,
    *,
    seed: int = 0,
    engine: EngineName = "local",
    address: str | None = None,
    workers: int | None = None,
) -> RunContext:
    """The context of a run that was started from the command line: progress goes to standard error."""
    return RunContext(
        root=Path(output), seed=seed, engine=engine, address=address, workers=workers, progress=ProgressLines()
    )


def describe_job(job: Job) -> str:
    """The plan of `job` for people."""
    settled = planned(job)
    return describe(settled, units_of(settled, job.units))
