"""A job that is asked for more: what it planned stays, and what is new is planned as a further round.

A data set that has grown is labelled again under the same name, and a folder that has grown is imported again.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from pipelines.job import PlannedJob, UnitItems
from pipelines.planning.plan import units_of
from storage.datasets.plan import WorkUnit, plan_path, read_plans
from storage.datasets.unit_paths import SHARDS
from storage.errors import AlreadyWrittenError


def not_planned_yet(root: Path, job: PlannedJob, units: Sequence[WorkUnit]) -> tuple[WorkUnit, ...]:
    """Those of `units`, or of their items, that the data set in `root` has no plan of under this job's name, as the
    units of its next round.

    Labels grow with what they label, and items that name their episode are told one by one. Raises AlreadyWrittenError
    for other work that lacks something of what was planned.
    """
    known = {unit.unit_id: unit for unit in read_plans(root, job.name)}
    fresh = [unit for unit in units if unit.unit_id not in known]
    gone = known.keys() - {unit.unit_id for unit in units}
    if gone and job.sink == SHARDS:
        if not _named([*known.values(), *units]):
            raise AlreadyWrittenError(
                f"job {job.name!r} of {root} was planned with other units: {len(gone)} of them are not asked for now."
                " Give the job a new name; what is there already is then left out"
            )
        fresh = _without_items(job, fresh, {str(item["episode_id"]) for unit in known.values() for item in unit.items})
    number = next(number for number in count() if not plan_path(root, job.name, number).exists())
    return tuple(replace(unit, round=number) for unit in fresh)


def _named(units: Sequence[WorkUnit]) -> bool:
    """Whether every item says which episode it will be."""
    return all("episode_id" in item for unit in units for item in unit.items)


def _without_items(job: PlannedJob, units: Sequence[WorkUnit], planned: set[str]) -> list[WorkUnit]:
    """`units` without the items whose episodes were `planned` before."""
    rest = [tuple(item for item in unit.items if item["episode_id"] not in planned) for unit in units]
    groups = [UnitItems(items=items, inputs=unit.inputs) for unit, items in zip(units, rest, strict=True) if items]
    return list(units_of(job, groups))
