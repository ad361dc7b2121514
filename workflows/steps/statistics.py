"""`statistics`: merge what every shard says about its numbers into one file."""

from dataclasses import dataclass

from storage.datasets.merged_statistics import write_merged_statistics
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep


@dataclass(frozen=True, kw_only=True)
class StatisticsStep:
    """Nothing to set: statistics follow from the data."""


def run_statistics(context: RunContext, step: StatisticsStep) -> str:
    """Write `statistics/merged.json`."""
    return f"statistics: {write_merged_statistics(context.dataset())}"


STEP = PlainStep(config=StatisticsStep, work=run_statistics)
