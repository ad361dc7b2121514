"""Mending a data set: what is damaged is taken out, so that the job that made it makes it again.

Nothing is deleted: what is taken out lies in `damaged/` afterwards. A unit that is computed twice is the same bytes, so
labels of a unit that was taken out fit again once it is back.
"""

import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.datasets.commit import publishing
from storage.datasets.manifest import read_manifest
from storage.datasets.unit_paths import SHARDS, Sink, sinks_of
from storage.shards.streams import disk_errors
from storage.verification.findings import Finding, Kind
from storage.verification.twins import write_without
from storage.verification.verify import findings

_LOG = logging.getLogger(__name__)
DAMAGED = "damaged"
_OF_A_UNIT: frozenset[Kind] = frozenset({"missing", "truncated", "damaged", "unreadable", "count", "label"})


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What `repair` did: units taken out as (sink, unit id), files and indices taken out, and findings that it cannot
    mend, each with its own advice."""

    units: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    left: tuple[Finding, ...]


def repair(root: Path) -> Repair:
    """Take everything out of the data set in `root` that `verify` finds damaged and that can be made again.

    Afterwards `resume` makes the units again; a plan or job file that was taken out is written again by the command
    that wrote it. Raises NotADatasetError where dataset.json itself is damaged, WorldError when the disk says no.
    """
    root = Path(root)
    damage = [finding for finding in findings(root) if finding.is_damage]
    units = _units_to_take(damage)
    twins = _twins(damage, units)
    with disk_errors(root):
        for sink, unit_id in units:
            _take_unit_out(root, Sink(root, sink), unit_id)
        for unit_id, names in twins.items():
            _write_without(root, unit_id, names)
        files = [finding.path for finding in damage if _is_small_file(finding)]
        for path in dict.fromkeys(files):
            _move(root, root / path)
        indices = [finding for finding in damage if finding.kind == "index"]
        for folder in sorted({_index_of(root, finding) for finding in indices}):
            shutil.rmtree(folder, ignore_errors=True)
    mended = {*files, *(finding.path for finding in indices)}
    units += [(SHARDS, unit_id) for unit_id in twins]
    left = [each for each in damage if not _belongs_to(each, units) and each.path not in mended and each.kind != "plan"]
    return Repair(units=tuple(units), files=tuple(sorted(mended)), left=tuple(left))


def _units_to_take(damage: Sequence[Finding]) -> list[tuple[str, str]]:
    """Damaged units. Labels that only miss their unit stay when that one is about to be made again."""
    damaged = {(each.sink, each.unit_id) for each in damage if each.unit_id and each.kind in _OF_A_UNIT - {"label"}}
    labels = {(each.sink, each.unit_id) for each in damage if each.kind == "label"}
    return sorted(damaged | {(sink, unit_id) for sink, unit_id in labels if (SHARDS, unit_id) not in damaged})


def _twins(damage: Sequence[Finding], taken: Sequence[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Unit -> those of its episodes that another unit has too, of sound units whose labels are sound."""
    gone = {unit_id for _, unit_id in taken}
    units = {each.unit_id for each in damage if each.kind == "duplicate"} - gone
    return {
        unit: frozenset(each.episode_id for each in damage if each.kind == "duplicate" and each.unit_id == unit)
        for unit in sorted(units)
    }


def _write_without(root: Path, unit_id: str, names: frozenset[str]) -> None:
    """Write a unit and its labels again without the episodes `names`; what there was goes to `damaged/`."""
    for sink in [sink for sink in sinks_of(root) if unit_id in sink.committed()]:
        manifest = read_manifest(sink.manifest(unit_id))
        with publishing(sink, unit_id):
            _move(root, sink.manifest(unit_id))
            shard = _move(root, sink.shard(unit_id))
        if shard is not None:
            write_without(shard, manifest, sink, names)
        shutil.rmtree(sink.index, ignore_errors=True)
    _LOG.info("left %d episodes out of unit %s that are in another one", len(names), unit_id)


def _belongs_to(finding: Finding, units: Iterable[tuple[str, str]]) -> bool:
    taken = set(units)
    return (finding.sink, finding.unit_id) in taken or (finding.kind == "label" and (SHARDS, finding.unit_id) in taken)


def _is_small_file(finding: Finding) -> bool:
    """Plans, jobs and dead letters: files that belong to no unit that is committed."""
    return finding.kind == "unreadable" and not finding.unit_id and finding.path != "."


def _take_unit_out(root: Path, sink: Sink, unit_id: str) -> None:
    with publishing(sink, unit_id):
        _move(root, sink.manifest(unit_id))  # first: without it no reader sees the shard
        _move(root, sink.shard(unit_id))
    _LOG.info("took unit %s out of %s", unit_id, sink.name)


def _move(root: Path, path: Path) -> Path | None:
    """Move `path` to the same place under `damaged/`, beside what lies there already; returns where it is then."""
    if not path.exists():
        return None
    target = root / DAMAGED / path.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while target.exists():
        target = target.with_name(f"{path.name}.{number}")
        number += 1
    return path.rename(target)


def _index_of(root: Path, finding: Finding) -> Path:
    return Sink(root, finding.sink or SHARDS).index
