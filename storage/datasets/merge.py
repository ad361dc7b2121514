"""Merging data sets: the union of their units, linked and never rewritten."""

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from storage.atomic_files import sync_folder
from storage.datasets.commit import Attempt
from storage.datasets.dataset import FILE, Dataset
from storage.datasets.dead_letters import read_dead_letters, write_dead_letter
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.plan import plan_files, read_plan, write_plan
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import AlreadyWrittenError, ConfigError
from storage.ids import content_id, file_hash
from storage.shards.streams import disk_errors


def merge(sources: Sequence[Path], target: Path, *, name: str, copy: bool = False) -> Dataset:
    """The union of `sources` in `target`, which is new, or a merge that was interrupted.

    Nothing is encoded or rewritten: shards are linked where both lie on one disk (they never change, so this is safe;
    `copy` copies them all the same), plans, dead letters and labels come with them. Raises AlreadyWrittenError when
    two sources, or a source and the target, hold different things under one unit id, or one episode in two units.
    """
    datasets = [Dataset(source) for source in sources]
    if len({source.resolve() for source in map(Path, [*sources, target])}) <= len(sources) or len(sources) < 2:
        raise ConfigError(
            f"merge takes two different data sets or more, and another folder; got {[*map(str, sources)]}"
        )
    _refuse_shared([*datasets, *([Dataset(target)] if (Path(target) / FILE).exists() else [])])
    merged = Dataset.create_or_open(target, name=name)
    merged.declare(*(embodiment for dataset in datasets for embodiment in dataset.embodiments.values()))
    for dataset in datasets:
        copy_plans(dataset.root, target)
        for sink in sinks_of(dataset.root):
            mine = Sink(target, sink.name)
            for unit_id in sorted(sink.committed()):
                take_unit(sink, mine, unit_id, copy=copy)
            for letter in read_dead_letters(sink):
                write_dead_letter(target, letter)
    merged = Dataset(target)
    merged.compact()
    return merged


def take_unit(source: Sink, target: Sink, unit_id: str, *, copy: bool = False) -> None:
    """Commit a unit of another data set here, as it is; fine when it is here already and equal."""
    manifest = read_manifest(source.manifest(unit_id))
    with disk_errors(target.root):
        if unit_id not in target.committed():
            with Attempt(target, unit_id) as attempt:
                if manifest.shard is not None:
                    _link_files(source.shard(unit_id), attempt.path, copy=copy)
                attempt.publish(manifest)
        _refuse_other(target, manifest)


def copy_plans(source: Path, target: Path) -> None:
    """Bring the plans of `source` along, under a longer job name where `target` has another plan of that name."""
    for path in plan_files(source):
        units = read_plan(path)
        try:
            write_plan(target, units)
        except AlreadyWrittenError:
            job = f"{units[0].job}.{file_hash(path)[:8]}"
            write_plan(target, [replace(unit, job=job) for unit in units])
    for path in sorted((source / "plan").glob("*.json")):
        there = target / "plan" / path.name
        if there.exists() and there.read_bytes() != path.read_bytes():
            there = there.with_name(f"{path.stem}.{file_hash(path)[:8]}.json")
        shutil.copyfile(path, there)


def _refuse_shared(datasets: Sequence[Dataset]) -> None:
    """Raise AlreadyWrittenError where one episode is in two units of `datasets`; whole units may be shared."""
    seen: dict[str, tuple[Path, str]] = {}
    for dataset in datasets:
        unit_of_row = dataset.index.unit_of_row.tolist()
        for episode_id, unit in zip(dataset.index.table["episode_id"].to_pylist(), unit_of_row, strict=True):
            here = dataset.index.units[unit]
            root, there = seen.setdefault(episode_id, (dataset.root, here))
            if there != here:
                raise AlreadyWrittenError(
                    f"episode {episode_id!r} is in unit {there} of {root} and in unit {here} of {dataset.root};"
                    " data sets that share episodes can be merged only where they share whole units"
                )


def _refuse_other(target: Sink, manifest: Manifest) -> None:
    there = read_manifest(target.manifest(manifest.unit_id))
    if content_id(there.to_json()["shard"]) != content_id(manifest.to_json()["shard"]):
        raise AlreadyWrittenError(
            f"{target.root} holds another unit {manifest.unit_id} already: one id, two contents."
            " Was a stage changed without a new version?"
        )


def _link_files(source: Path, target: Path, *, copy: bool) -> None:
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        there = target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        if copy or not _linked(path, there):
            shutil.copyfile(path, there)
    for folder in {path.parent for path in target.rglob("*")}:
        sync_folder(folder)


def _linked(source: Path, target: Path) -> bool:
    """Link, where the file system can; what it cannot is no error."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            return False
        raise
    return True
