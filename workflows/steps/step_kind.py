"""What a kind of step is: the dataclass of its settings, and how it is done. `run` returns one line for people.

The plan of a step that `reads_data` follows from what the steps before it left in the data set; `check` raises what can
be refused of its settings before the first step runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.job import Job
from pipelines.run_job import JobResult, run_job
from workflows.recipes.run_context import RunContext


def given_up(root: Path, result: JobResult) -> str:
    """What is to be said about units that were given up; empty where there are none."""
    count = len(result.dead_letters)
    return (
        f"; {count} units were given up (causes in {root}/failed), `pyramid resume {root}` tries again" if count else ""
    )


def nothing_to_check(step: Any) -> None:
    """For steps whose settings say all by themselves."""


@dataclass(frozen=True, kw_only=True)
class JobStep:
    """A step that is one job: `job` says what there is to do, `summary` what became of it, in one line."""

    config: type
    job: Callable[[RunContext, Any], Job]
    summary: Callable[[Any, JobResult], str]
    reads_data: bool = False
    check: Callable[[Any], None] = nothing_to_check
    after_failure: bool = False

    def run(self, context: RunContext, step: Any) -> str:
        """Run the job to its end in the run's data set; what is committed already is not done again."""
        result = run_job(context.root, self.job(context, step), context.options)
        return self.summary(step, result) + given_up(context.root, result)


@dataclass(frozen=True, kw_only=True)
class PlainStep:
    """A step that is no single job: `work` does it and returns the line. `job` is what a dry run shows of it. With
    `after_failure` it is done also where a step before it could not do its work: a page shows what there is."""

    config: type
    work: Callable[[RunContext, Any], str]
    job: Callable[[RunContext, Any], Job] | None = None
    reads_data: bool = False
    check: Callable[[Any], None] = nothing_to_check
    after_failure: bool = False

    def run(self, context: RunContext, step: Any) -> str:
        """Do the work."""
        return self.work(context, step)


StepKind = JobStep | PlainStep
