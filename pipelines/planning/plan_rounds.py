"""Topping up: plan in rounds until enough episodes are kept. A round follows from the counts before it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from pipelines.job import PlannedJob, Until
from pipelines.planning.plan import grouped, units_of
from pipelines.progress.job_counts import Tally
from pipelines.progress.line import reasons
from pipelines.stage import resolve
from storage.datasets.plan import WorkUnit
from storage.errors import ConfigError, WorkFailedError

_MARGIN = 1.1
_MOST_GROWTH = 4


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What is known when a round is planned: episodes wanted in all and kept so far, items planned so far (which is
    also the number of the next item), how many items to plan next, as the yield so far suggests, and what was dropped
    so far, by reason."""

    target: int
    kept: int
    items: int
    wanted: int
    dropped: Mapping[str, int] = field(default_factory=dict)


def numbered_items(counts: Counts, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The plainest `Until.next_items`: `settings` with the number of the attempt."""
    return [{**settings, "attempt": counts.items + number} for number in range(counts.wanted)]


def next_round(job: PlannedJob, tally: Tally, round_number: int) -> tuple[WorkUnit, ...]:
    """The units of the next round; none when enough is kept. Raises WorkFailedError when the job may plan no more."""
    until = job.until
    assert until is not None
    if tally.kept >= until.kept:
        return ()
    wanted = wanted_items(until, tally, round_number)
    if wanted < 1:
        why = f"; dropped: {reasons(tally.dropped)}" if tally.dropped else ""
        raise WorkFailedError(
            f"job {job.name!r} kept {tally.kept} of {until.kept} episodes from {tally.planned_items} items, and may"
            f" take no more than {most_items(until)}{why}. Mend the cause, or plan a job with a larger most_items"
        )
    counts = Counts(
        target=until.kept, kept=tally.kept, items=tally.planned_items, wanted=wanted, dropped=dict(tally.dropped)
    )
    items: Sequence[Mapping[str, Any]] = resolve(until.next_items)(counts, until.settings)
    if not items:
        raise ConfigError(f"{until.next_items} gave no items for {counts}")
    groups = grouped(items, items_per_unit=until.items_per_unit, inputs=until.inputs)
    return units_of(job, groups, round_number=round_number)


def wanted_items(until: Until, tally: Tally, round_number: int) -> int:
    """How many items to plan: what is missing over the yield so far, with a margin, growing fourfold at most."""
    room = most_items(until) - tally.planned_items
    if round_number == 0:
        return min(until.first_items or until.kept, room)
    kept_per_item = (tally.kept + 1) / (tally.planned_items + 2)
    needed = ceil((until.kept - tally.kept) / kept_per_item * _MARGIN)
    return min(needed, _MOST_GROWTH * tally.planned_items, room)


def most_items(until: Until) -> int:
    """The bound on all items of a job."""
    return until.most_items or max(100, 20 * until.kept)
