"""Checking a data set: every checksum, every count, and that plan = manifests + dead letters, exactly.

What is found is told, never mended here: `storage.datasets.clean` removes what is mere garbage,
`storage.verification.repair` takes out what is damaged, so that the job that made it makes it again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from storage.atomic_files import read_json
from storage.datasets.commit import is_committed, leftovers
from storage.datasets.dataset import read_about
from storage.datasets.index import current_index, index_of, read_index
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.plan import WorkUnit, plan_files, read_plan
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import CorruptFileError, InputError, SchemaVersionError
from storage.verdicts.reviews import FILE as REVIEWS
from storage.verdicts.reviews import damaged_lines
from storage.verdicts.selection import FOLDER as SELECTIONS
from storage.verdicts.selection import check_selection, read_selection, selection_names
from storage.verification.check_sources import lost_sources
from storage.verification.check_unit import check_content, check_files, relative
from storage.verification.findings import Finding, of_unit


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
    yield from _check_choices(root, base)
    for lost in lost_sources(episode for manifest in base.values() for episode in manifest.episodes):
        yield Finding(kind="source", path=lost.file, text=lost.text)
    for path in leftovers(root, older_than_s=0.0):
        orphan = path.suffix == ".zarr"
        text = "a shard that no manifest speaks of" if orphan else "left behind by an attempt that ended or goes on"
        yield Finding(kind="orphan" if orphan else "leftover", path=relative(root, path), text=text)


def quick_findings(root: Path) -> Iterator[Finding]:
    """What can be told without reading shards: manifests that cannot be read, files that are missing or too short."""
    for sink in sinks_of(Path(root)):
        for unit_id in sorted(sink.committed()):
            try:
                record = read_manifest(sink.manifest(unit_id)).shard
            except (InputError, SchemaVersionError) as error:
                path = relative(sink.root, sink.manifest(unit_id))
                yield of_unit(sink, unit_id, kind="unreadable", path=path, text=str(error))
                continue
            if record is not None:
                yield from check_files(sink, unit_id, record, checksums=False)


def _check_unit(sink: Sink, unit_id: str, manifests: dict[str, Manifest]) -> Iterator[Finding]:
    path = relative(sink.root, sink.manifest(unit_id))
    try:
        manifest = read_manifest(sink.manifest(unit_id))
    except (InputError, SchemaVersionError) as error:
        yield of_unit(sink, unit_id, kind="unreadable", path=path, text=str(error))
        return
    manifests[unit_id] = manifest
    if manifest.shard is not None:
        file_findings = list(check_files(sink, unit_id, manifest.shard))
        yield from file_findings or check_content(sink, unit_id, manifest.shard)


def _check_ids(sink: Sink, manifests: Mapping[str, Manifest]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for unit_id, manifest in manifests.items():
        path = relative(sink.root, sink.manifest(unit_id))
        for name in (str(episode["episode_id"]) for episode in manifest.episodes):
            first = seen.setdefault(name, unit_id)
            if first != unit_id:
                text = f"episode {name!r} is in unit {first} too"
                yield replace(of_unit(sink, unit_id, kind="duplicate", path=path, text=text), episode_id=name)


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
            yield of_unit(sink, unit_id, kind="label", path=relative(sink.root, sink.manifest(unit_id)), text=text)


def _check_index(sink: Sink, manifests: Mapping[str, Manifest]) -> Iterator[Finding]:
    """The index may lack what came later, but what it says must be so. The order of its layouts means nothing."""
    try:
        stored = read_index(sink, checked=True)
        path = current_index(sink)
        if stored is None or path is None:
            return
    except (CorruptFileError, SchemaVersionError) as error:
        yield Finding(kind="index", path=relative(sink.root, sink.index), text=str(error), sink=sink.name)
        return
    where = relative(sink.root, path)
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
        where = relative(root, path)
        try:
            units = read_plan(path)
        except CorruptFileError as error:
            yield Finding(kind="unreadable", path=where, text=str(error))
            continue
        job = path.stem.rpartition("-")[0]
        names = (job, job.rpartition(".")[0])  # a merge may have given the plan a longer name
        if not any((root / "plan" / f"{name}.json").exists() for name in names) and any(
            not _is_done(root, unit) for unit in units
        ):
            text = f"plan/{job}.json is not there, and units are open; the command that started the job writes it again"
            yield Finding(kind="plan", path=where, text=text)
        planned |= {(unit.sink, unit.unit_id): where for unit in units}
    small = [*(root / "plan").glob("*.json"), *(path for sink in sinks_of(root) for path in _letters(sink))]
    for path in small:
        try:
            read_json(path)
        except InputError as error:
            yield Finding(kind="unreadable", path=relative(root, path), text=str(error))
    sinks = {sink.name: sink for sink in sinks_of(root)}
    committed = {name: sink.committed() for name, sink in sinks.items()}
    ended = {name: sink.dead() | committed[name] for name, sink in sinks.items()}
    for (name, unit_id), where in planned.items():
        if unit_id not in ended.get(name, ()):
            text = f"unit {unit_id} for {name} has no manifest and no dead letter; resume the job"
            yield Finding(kind="plan", path=where, text=text)
    for name, sink in sinks.items():
        for unit_id in sorted(ended[name]):
            if (name, unit_id) not in planned:
                path = sink.manifest(unit_id) if unit_id in committed[name] else sink.dead_letter(unit_id)
                yield Finding(kind="plan", path=relative(root, path), text="no plan speaks of this unit")


def _is_done(root: Path, unit: WorkUnit) -> bool:
    return is_committed(Sink(root, unit.sink), unit.unit_id)


def _check_choices(root: Path, base: Mapping[str, Manifest]) -> Iterator[Finding]:
    """Selections, and what people decided."""
    episodes = {str(episode["episode_id"]) for manifest in base.values() for episode in manifest.episodes}
    for name in selection_names(root):
        try:
            check_selection(read_selection(root, name), episodes, root)
        except (InputError, SchemaVersionError) as error:
            yield Finding(kind="selection", path=f"{SELECTIONS}/{name}.json", text=str(error))
    for number, why in damaged_lines(root).items():
        yield Finding(kind="review", path=REVIEWS.as_posix(), text=f"line {number} is not a decision: {why}")


def _letters(sink: Sink) -> list[Path]:
    return [sink.dead_letter(unit_id) for unit_id in sorted(sink.dead())]
