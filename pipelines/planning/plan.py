"""Planning: a job is checked, its settings completed, its items become units with ids that follow from content."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.catalog import find_stage
from pipelines.config import NamesFiles, from_anywhere, identity_of, settings_of
from pipelines.job import Job, PlannedJob, PlannedStage, UnitItems
from pipelines.planning.field_check import check_fields
from pipelines.planning.versions import versions
from storage.datasets.plan import WorkUnit
from storage.errors import ConfigError
from storage.ids import content_id


def planned(job: Job) -> PlannedJob:
    """`job`, checked and with every setting filled in. Raises ConfigError or UnknownNameError; nothing has run then."""
    chain: list[PlannedStage] = []
    identities: list[tuple[str, int, Mapping[str, Any]]] = []
    inputs: dict[str, dict[str, str]] = {}
    for name, settings in job.stages:
        row = find_stage(name)
        try:
            config = row.make_config(settings)
        except ConfigError as error:
            raise ConfigError(f"job {job.name!r}, stage {name!r}: {error}") from error
        times = sum(stage.name.partition("#")[0] == name for stage in chain)
        unique = f"{name}#{times + 1}" if times else name
        chain.append(PlannedStage(name=unique, row=row, settings=from_anywhere(settings_of(config))))
        identities.append((unique, row.version, identity_of(config)))
        if isinstance(config, NamesFiles):
            inputs[unique] = dict(config.inputs())
    if not chain:
        raise ConfigError(f"job {job.name!r} has no stages")
    check_fields(job.name, [(stage.name, stage.row) for stage in chain], job.provides)
    return PlannedJob(
        name=job.name,
        stages=tuple(chain),
        config_hash=content_id("config", identities),
        sink=job.sink,
        seed=job.seed,
        until=job.until,
        policy=job.policy,
        versions=versions(),
        inputs=inputs,
    )


def units_of(job: PlannedJob, groups: Iterable[UnitItems], *, round_number: int = 0) -> tuple[WorkUnit, ...]:
    """The units of one round. Equal work has an equal id, whatever the job is called and wherever it is planned.

    Raises ConfigError when two units are the same, or when a unit of labels does not say what it labels.
    """
    units = tuple(_unit(job, group, round_number) for group in groups)
    seen: dict[str, WorkUnit] = {}
    for unit in units:
        if unit.unit_id in seen:
            raise ConfigError(
                f"job {job.name!r}: two units are the same work, {_shown(unit.items)}; each item is planned once"
            )
        seen[unit.unit_id] = unit
    return units


def _unit(job: PlannedJob, group: UnitItems, round_number: int) -> WorkUnit:
    if not group.items:
        raise ConfigError(f"job {job.name!r}: a unit needs at least one item")
    labels = job.sink.startswith("labels/")
    if labels != bool(group.unit_id):
        raise ConfigError(f"job {job.name!r}: units of labels, and no others, carry the id of the unit they label")
    content = ("unit", job.config_hash, job.seed, list(group.items), group.inputs)
    return WorkUnit(
        unit_id=group.unit_id or content_id(*content),
        job=job.name,
        items=tuple(group.items),
        inputs=dict(group.inputs),
        seed=job.seed,
        config_hash=job.config_hash,
        sink=job.sink,
        round=round_number,
    )


def grouped(
    items: Sequence[Mapping[str, Any]], *, items_per_unit: int, inputs: Mapping[str, str] | None = None
) -> tuple[UnitItems, ...]:
    """`items` in order, `items_per_unit` to a unit, the last one with what is left."""
    if items_per_unit < 1:
        raise ConfigError(f"a unit holds at least one item; got items_per_unit={items_per_unit}")
    starts = range(0, len(items), items_per_unit)
    return tuple(UnitItems(items=tuple(items[at : at + items_per_unit]), inputs=inputs or {}) for at in starts)


def described(job: Job) -> str:
    """The plan of a job that was not planned yet, for people."""
    settled = planned(job)
    return describe(settled, units_of(settled, job.units))


def describe(job: PlannedJob, units: Sequence[WorkUnit], *, done: int = 0) -> str:
    """What the job would do, for people (`--dry-run`)."""
    items = sum(len(unit.items) for unit in units)
    size = f"{len(units)} units, {items} items, {done} committed already"
    if job.until:
        until = job.until
        size = f"until {until.kept} episodes are kept; planned in rounds, {until.items_per_unit} items a unit"
        size += f"; {len(units)} units planned, {done} committed already" if units else ""
    lines = [f"job {job.name} -> {job.sink}, seed {job.seed}, config {job.config_hash[:12]}", f"  {size}"]
    for number, stage in enumerate(job.stages, start=1):
        row = stage.row
        needs = f"{row.resources.cpus:g} CPU" + (f", {row.resources.gpus:g} GPU" if row.resources.gpus else "")
        lines.append(f"  {number}. {stage.name} v{row.version} [{row.process}; {needs}]")
        lines.append(f"     reads  {', '.join(sorted(row.reads)) or '-'}")
        lines.append(f"     writes {', '.join(sorted(row.writes)) or '-'}")
        lines += [f"     {key} = {value!r}" for key, value in sorted(stage.settings.items())]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) < 200 else f"{text[:200]}..."
