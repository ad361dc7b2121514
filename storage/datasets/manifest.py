"""The manifest of a unit: one small JSON file. When it is there the unit is committed; readers follow nothing else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.atomic_files import read_json, sealed_json_bytes, write_once
from storage.datasets.unit_paths import SHARDS, Sink
from storage.errors import CorruptFileError, SchemaVersionError
from storage.outcomes import Dropped
from storage.shards.record import ShardRecord

MANIFEST_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What one stage did to one unit. `bytes` is what it added: encoded frames and arrays."""

    name: str
    version: int
    wall_s: float
    cpu_s: float
    inputs: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is known about a committed unit.

    `shard` is None where every input was dropped: that is a result too. `dropped` holds each decision against an
    input with its reason and score. `host`, `versions` and the seconds are of the attempt that was first.
    """

    unit_id: str
    job: str
    config_hash: str
    seed: int = 0
    sink: str = SHARDS
    shard: ShardRecord | None = None
    dropped: tuple[Dropped, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    host: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)

    @property
    def episodes(self) -> tuple[Mapping[str, Any], ...]:
        return self.shard.episodes if self.shard else ()

    def to_json(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **record,
            "manifest_version": MANIFEST_VERSION,
            "shard": self.shard.to_json() if self.shard else None,
            "dropped": [asdict(drop) for drop in self.dropped],
            "stages": [asdict(stage) for stage in self.stages],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Manifest":
        """The inverse of `to_json`; raises SchemaVersionError or CorruptFileError."""
        values = dict(record)
        version = values.pop("manifest_version", None)
        if version != MANIFEST_VERSION:
            raise SchemaVersionError(f"this program reads manifests of version {MANIFEST_VERSION}; got {version}")
        try:
            values["shard"] = ShardRecord.from_json(values["shard"]) if values["shard"] else None
            values["dropped"] = tuple(Dropped(**drop) for drop in values["dropped"])
            values["stages"] = tuple(StageRecord(**stage) for stage in values["stages"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise CorruptFileError(f"a manifest lacks or has too much: {error}") from error


def write_manifest(root: Path, manifest: Manifest) -> bool:
    """Commit a unit. Returns False where it was committed already; the first manifest stays."""
    return write_once(Sink(root, manifest.sink).manifest(manifest.unit_id), sealed_json_bytes(manifest.to_json()))


def read_manifest(path: Path) -> Manifest:
    """The manifest in `path`, which is named after its unit; raises MissingFileError, CorruptFileError or
    SchemaVersionError naming it."""
    record = read_json(path)
    try:
        manifest = Manifest.from_json(record)
    except (CorruptFileError, SchemaVersionError) as error:
        raise type(error)(f"{path}: {error}") from error
    if manifest.unit_id != path.stem:
        raise CorruptFileError(f"{path}: it is the manifest of unit {manifest.unit_id}")
    return manifest


def read_manifests(sink: Sink) -> list[Manifest]:
    """All committed units of a sink, by unit id."""
    return [read_manifest(sink.manifest(unit_id)) for unit_id in sorted(sink.committed())]
