"""Checking one committed unit: its files against its manifest, and what the manifest says against what they hold."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from storage.datasets.unit_paths import Sink
from storage.errors import PyramidError
from storage.ids import file_crc32c
from storage.shards.reader import Shard
from storage.shards.record import ShardRecord
from storage.verification.findings import Finding, of_unit


def check_files(sink: Sink, unit_id: str, record: ShardRecord, *, checksums: bool = True) -> Iterator[Finding]:
    folder = sink.shard(unit_id)
    if not folder.is_dir():
        yield of_unit(
            sink,
            unit_id,
            kind="missing",
            path=relative(sink.root, folder),
            text="the manifest is there, the shard is not",
        )
        return
    for file in record.files:
        path = folder / file.path
        where = relative(sink.root, path)
        if not path.is_file():
            yield of_unit(sink, unit_id, kind="missing", path=where, text="the manifest names this file")
        elif (size := path.stat().st_size) != file.bytes:
            yield of_unit(sink, unit_id, kind="truncated", path=where, text=f"expected {file.bytes} bytes; got {size}")
        elif checksums and (came := file_crc32c(path)) != file.crc32c:
            text = f"expected crc32c {file.crc32c:08x}; got {came:08x}: at least one byte has changed"
            yield of_unit(sink, unit_id, kind="damaged", path=where, text=text)
    known = {file.path for file in record.files}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.relative_to(folder).as_posix() not in known:
            text = "lies in a shard whose manifest does not name it"
            yield of_unit(sink, unit_id, kind="orphan", path=relative(sink.root, path), text=text)


def check_content(sink: Sink, unit_id: str, record: ShardRecord) -> Iterator[Finding]:
    """The files are what was written; does the manifest say the same as they do?"""
    where = relative(sink.root, sink.shard(unit_id))
    try:
        shard = Shard(sink.shard(unit_id))
        shard.check()
    except PyramidError as error:
        yield of_unit(sink, unit_id, kind="unreadable", path=where, text=str(error))
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
            yield of_unit(
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
            where = relative(sink.root, sink.shard(unit_id))
            yield of_unit(sink, unit_id, kind="count", path=where, text=text)


def relative(root: Path, path: Path) -> str:
    """`path` as findings name it."""
    return path.relative_to(root).as_posix()
