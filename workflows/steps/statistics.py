"""`statistics`: merge what every shard says about its numbers into one file."""

from dataclasses import dataclass

from storage.summary import write_statistics
from workflows.run_context import RunContext
from workflows.steps.step_kind import StepKind


@dataclass(frozen=True, kw_only=True)
class StatisticsStep:
    """Nothing to set: statistics follow from the data."""


def run_statistics(context: RunContext, step: StatisticsStep) -> str:
    """Write `statistics/merged.json`."""
    merged = write_statistics(context.dataset())
    return f"statistics of {len(merged)} vectors in statistics/merged.json"


STEP = StepKind(config=StatisticsStep, run=run_statistics)
