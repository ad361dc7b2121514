"""What a kind of step is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.job import Job
from workflows.run_context import RunContext


@dataclass(frozen=True, kw_only=True)
class StepKind:
    """`config` is the dataclass of a step's settings, `run` does the step and returns one line for people. A step that
    runs a job gives the job by `job`, which is what a dry run shows."""

    config: type
    run: Callable[[RunContext, Any], str]
    job: Callable[[RunContext, Any], Job] | None = None
