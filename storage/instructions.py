"""The instruction of each step, for episodes whose instruction changes on the way."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

Runs = Sequence[Sequence[Any]]
"""Text that changes over an episode: [[first step, text], ...]."""

_COLUMNS = ("annotation.human.action.task_description", "task_index")


def instruction_runs(record: Mapping[str, Any]) -> Runs:
    """The runs of the instruction of an episode (its record in a shard), () where it has one instruction throughout
    or was given another one since it was imported."""
    imported = record.get("provenance", {}).get("imported", {})
    annotations = imported.get("annotations", {})
    for column in (imported.get("words", {}).get("instruction"), *_COLUMNS):
        runs: Runs = annotations.get(column) or ()
        if len(runs) > 1 and runs[0][1] == record.get("instruction"):
            return runs
    return ()


def text_at(runs: Runs, step: int) -> str:
    """The text that holds at `step`; `runs` begin at step 0."""
    return str(runs[max(0, bisect_right([int(run[0]) for run in runs], step) - 1)][1])
