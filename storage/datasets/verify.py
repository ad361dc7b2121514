"""Checking a data set: every checksum, every count, and that plan = manifests + dead letters, exactly.

What is found is told, never mended here: `storage.datasets.clean` removes what is mere garbage,
`storage.datasets.repair` takes out what is damaged, so that the job that made it makes it again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import google_crc32c
import numpy as np
import pyarrow.parquet

from storage.atomic_files import read_json
from storage.datasets.check_sources import lost_sources
from storage.datasets.commit import leftovers
from storage.datasets.dataset import read_about
from storage.datasets.index import current_index, index_of, read_index
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.plan import plan_files, read_plan
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import CorruptFileError, InputError, PyramidError, SchemaVersionError
from storage.seals import KEY, check_seal
from storage.shards.reader import Shard
from storage.shards.record import ShardRecord

Kind = Literal[
    "unreadable",
    "missing",
    "truncated",
    "damaged",
    "count",
    "duplicate",
    "label",
    "index",
    "plan",
    "source",
    "orphan",
    "leftover",
]
GARBAGE: frozenset[Kind] = frozenset({"orphan", "leftover"})
"""Kinds that no reader ever sees and `clean` removes."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it must be. `path` is relative to the data set; `sink` and `unit_id` say whose it is,
    where it belongs to one unit."""

    kind: Kind
    path: str
    text: str
    sink: str = ""
    unit_id: str = ""

    def __post_init__(self) -> None:
        assert self.kind in get_args(Kind)

    @property
    def is_damage(self) -> bool:
        """Whether it touches what readers see."""
        return self.kind not in GARBAGE

    @property
    def mend(self) -> str:
        """The command that mends it, with DATASET in the place of the folder."""
        if not self.is_damage:
            return "pyramid data clean DATASET"
        if self.kind == "source":
            return "put the file back as it was, or name its folder in PYRAMID_SOURCES"
        return {"plan": "pyramid resume DATASET", "duplicate": "pyramid data subset DATASET --help"}.get(
            self.kind, "pyramid data repair DATASET"
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.path}: {self.text} ({self.mend})"


def verify(root: Path) -> list[Finding]:
    """Everything that is wrong with the data set in `root`; raises NotADatasetError or SchemaVersionError where it
    cannot be opened at all. Reads every byte."""
    return list(findings(root))


def findings(root: Path) -> Iterator[Finding]:
    """As `verify`, one by one while it goes on."""
    root = Path(root)
    read_about(root)
    base: dict[str, Manifest] = {}
    for sink in sinks_of(root):
        manifests: dict[str, Manifest] = {}
        for unit_id in sorted(sink.committed()):
            yield from _check_unit(sink, unit_id, manifests)
        yield from _check_labels(sink, manifests, base) if sink.is_labels else _check_ids(sink, manifests)
        yield from _check_index(sink, manifests)
        base = base or manifests
    yield from _check_plan(root)
    for lost in lost_sources(episode for manifest in base.values() for episode in manifest.episodes):
        yield Finding(kind="source", path=lost.file, text=lost.text)
    for path in leftovers(root, older_than_s=0.0):
        orphan = path.suffix == ".zarr"
        text = "a shard that no manifest speaks of" if orphan else "left behind by an attempt that ended or goes on"
        yield Finding(kind="orphan" if orphan else "leftover", path=_relative(root, path), text=text)


def quick_findings(root: Path) -> Iterator[Finding]:
    """What can be told without reading shards: manifests that cannot be read, files that are missing or too short."""
    for sink in sinks_of(Path(root)):
        for unit_id in sorted(sink.committed()):
            try:
                record = read_manifest(sink.manifest(unit_id)).shard
            except (InputError, SchemaVersionError) as error:
                path = _relative(sink.root, sink.manifest(unit_id))
                yield _of(sink, unit_id, kind="unreadable", path=path, text=str(error))
                continue
            if record is not None:
                yield from _check_files(sink, unit_id, record, checksums=False)


def _check_unit(sink: Sink, unit_id: str, manifests: dict[str, Manifest]) -> Iterator[Finding]:
    path = _relative(sink.root, sink.manifest(unit_id))
    try:
        manifest = read_manifest(sink.manifest(unit_id))
    except (InputError, SchemaVersionError) as error:
        yield _of(sink, unit_id, kind="unreadable", path=path, text=str(error))
        return
    manifests[unit_id] = manifest
    if manifest.unit_id != unit_id:
        yield _of(sink, unit_id, kind="count", path=path, text=f"is the manifest of unit {manifest.unit_id}")
    if manifest.shard is not None:
        found = list(_check_files(sink, unit_id, manifest.shard))
        yield from found or _check_content(sink, unit_id, manifest.shard)


def _of(sink: Sink, unit_id: str, *, kind: Kind, path: str, text: str) -> Finding:
    return Finding(kind=kind, path=path, text=text, sink=sink.name, unit_id=unit_id)


def _check_files(sink: Sink, unit_id: str, record: ShardRecord, *, checksums: bool = True) -> Iterator[Finding]:
    folder = sink.shard(unit_id)
    if not folder.is_dir():
        yield _of(
            sink,
            unit_id,
            kind="missing",
            path=_relative(sink.root, folder),
            text="the manifest is there, the shard is not",
        )
        return
    for file in record.files:
        path = folder / file.path
        where = _relative(sink.root, path)
        if not path.is_file():
            yield _of(sink, unit_id, kind="missing", path=where, text="the manifest names this file")
        elif (size := path.stat().st_size) != file.bytes:
            yield _of(sink, unit_id, kind="truncated", path=where, text=f"expected {file.bytes} bytes; got {size}")
        elif checksums and (came := _crc32c(path)) != file.crc32c:
            text = f"expected crc32c {file.crc32c:08x}; got {came:08x}: at least one byte has changed"
            yield _of(sink, unit_id, kind="damaged", path=where, text=text)
    known = {file.path for file in record.files}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.relative_to(folder).as_posix() not in known:
            text = "lies in a shard whose manifest does not name it"
            yield _of(sink, unit_id, kind="orphan", path=_relative(sink.root, path), text=text)


def _check_content(sink: Sink, unit_id: str, record: ShardRecord) -> Iterator[Finding]:
    """The files are what was written; does the manifest say the same as they do?"""
    where = _relative(sink.root, sink.shard(unit_id))
    try:
        shard = Shard(sink.shard(unit_id))
        shard.check()
    except PyramidError as error:
        yield _of(sink, unit_id, kind="unreadable", path=where, text=str(error))
        return
    compared = {
        "unit": (unit_id, shard.unit_id),
        "number of steps": (record.steps, shard.steps),
        "steps of all episodes": (record.steps, sum(episode["length"] for episode in record.episodes)),
        "bytes of all files": (record.bytes, sum(file.bytes for file in record.files)),
        "episodes": ([*record.episodes], [*shard.episodes]),
    }
    for what, (expected, came) in compared.items():
        if expected != came:
            text = f"manifest and shard disagree about the {what}"
            yield _of(
                sink,
                unit_id,
                kind="count",
                path=where,
                text=text if what == "episodes" else f"{text}: {expected}, {came}",
            )
    yield from _check_times(sink, unit_id, shard)


def _check_times(sink: Sink, unit_id: str, shard: Shard) -> Iterator[Finding]:
    """Time stamps never go back: a recording that was resumed is two."""
    if "timestamp" not in shard.fields:
        return
    stamps = shard.array("timestamp")
    for record in shard.episodes:
        rows = stamps[record["start"] : record["start"] + record["length"]]
        back = np.flatnonzero(np.diff(rows) < 0)
        if len(back):
            text = f"the time stamps of episode {record['episode_id']} go back at step {int(back[0]) + 1}"
            where = _relative(sink.root, sink.shard(unit_id))
            yield _of(sink, unit_id, kind="count", path=where, text=text)


def _check_ids(sink: Sink, manifests: Mapping[str, Manifest]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for unit_id, manifest in manifests.items():
        for episode in manifest.episodes:
            first = seen.setdefault(episode["episode_id"], unit_id)
            if first != unit_id:
                text = f"episode {episode['episode_id']!r} is in unit {first} too"
                yield Finding(kind="duplicate", path=_relative(sink.root, sink.manifest(unit_id)), text=text)


def _check_labels(sink: Sink, labels: Mapping[str, Manifest], base: Mapping[str, Manifest]) -> Iterator[Finding]:
    for unit_id, manifest in labels.items():
        if manifest.shard is None:
            continue
        mine = [(episode["episode_id"], episode["length"]) for episode in manifest.episodes]
        theirs = (
            [(episode["episode_id"], episode["length"]) for episode in base[unit_id].episodes]
            if unit_id in base
            else []
        )
        if mine != theirs:
            text = "labels other episodes than the unit of this id has" if theirs else "labels a unit that is not there"
            yield _of(sink, unit_id, kind="label", path=_relative(sink.root, sink.manifest(unit_id)), text=text)


def _check_index(sink: Sink, manifests: Mapping[str, Manifest]) -> Iterator[Finding]:
    """The index may lack what came later, but what it says must be so. The order of its layouts means nothing."""
    try:
        stored = read_index(sink)
        path = current_index(sink)
        if stored is None or path is None:
            return
        if pyarrow.parquet.read_schema(path).metadata.get(KEY.encode()):  # indices of older programs have none
            check_seal(path.read_bytes(), path, last=True)
    except (CorruptFileError, SchemaVersionError) as error:
        yield Finding(kind="index", path=_relative(sink.root, sink.index), text=str(error), sink=sink.name)
        return
    where = _relative(sink.root, path)
    if gone := sorted(set(stored.layout_of_unit) - set(manifests)):
        text = f"speaks of units without a readable manifest: {', '.join(gone)}"
        yield Finding(kind="index", path=where, text=text, sink=sink.name)
        return
    expected = index_of([manifests[unit_id] for unit_id in sorted(stored.layout_of_unit)])
    same = all(stored.layout(unit_id) == expected.layout(unit_id) for unit_id in stored.layout_of_unit)
    if not same or stored.table.to_pylist() != expected.table.to_pylist():
        yield Finding(kind="index", path=where, text="says other things than the manifests do", sink=sink.name)


def _check_plan(root: Path) -> Iterator[Finding]:
    planned: dict[tuple[str, str], str] = {}
    for path in plan_files(root):
        where = _relative(root, path)
        try:
            units = read_plan(path)
        except CorruptFileError as error:
            yield Finding(kind="unreadable", path=where, text=str(error))
            continue
        planned |= {(unit.sink, unit.unit_id): where for unit in units}
    small = [*(root / "plan").glob("*.json"), *(path for sink in sinks_of(root) for path in _letters(sink))]
    for path in small:
        try:
            read_json(path)
        except InputError as error:
            yield Finding(kind="unreadable", path=_relative(root, path), text=str(error))
    sinks = {sink.name: sink for sink in sinks_of(root)}
    for (name, unit_id), where in planned.items():
        sink = sinks.get(name, Sink(root, name))
        if unit_id not in sink.committed() | sink.dead():
            text = f"unit {unit_id} for {name} has no manifest and no dead letter; resume the job"
            yield Finding(kind="plan", path=where, text=text)
    for sink in sinks.values():
        for unit_id in sorted(sink.committed() | sink.dead()):
            if (sink.name, unit_id) not in planned:
                path = sink.manifest(unit_id) if unit_id in sink.committed() else sink.dead_letter(unit_id)
                yield Finding(kind="plan", path=_relative(root, path), text="no plan speaks of this unit")


def _letters(sink: Sink) -> list[Path]:
    return [sink.dead_letter(unit_id) for unit_id in sorted(sink.dead())]


def _crc32c(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = google_crc32c.extend(value, block)
    return value


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
