"""What a kind of step is: the dataclass of its settings, and how it is done. `run` returns one line for people."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.job import Job
from pipelines.run_job import JobResult, run_job
from workflows.run_context import RunContext


@dataclass(frozen=True, kw_only=True)
class JobStep:
    """A step that is one job: `job` says what there is to do, `summary` what became of it, in one line."""

    config: type
    job: Callable[[RunContext, Any], Job]
    summary: Callable[[Any, JobResult], str]

    def run(self, context: RunContext, step: Any) -> str:
        """Run the job to its end in the run's data set; what is committed already is not done again."""
        return self.summary(step, run_job(context.root, self.job(context, step), context.options))


@dataclass(frozen=True, kw_only=True)
class PlainStep:
    """A step that is no job: `work` does it at once and returns the line."""

    config: type
    work: Callable[[RunContext, Any], str]

    def run(self, context: RunContext, step: Any) -> str:
        """Do the work."""
        return self.work(context, step)


StepKind = JobStep | PlainStep
