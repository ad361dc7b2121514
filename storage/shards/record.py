"""What a manifest knows about a shard: its episodes, its files with their checksums, its statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.errors import CorruptFileError
from storage.shards.layout import check_layout


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of a shard; `path` is relative to the shard's folder, `crc32c` is over the whole file."""

    path: str
    bytes: int
    crc32c: int


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """The summary that closing a shard returns.

    `episodes` holds one JSON object an episode, in row order: episode_id, parent_id, layer, embodiment, instruction,
    original_instruction, rate_hz, length, start, invalid_steps, verdicts, provenance. `steps` and `bytes` are totals.
    `layout` is what all episodes share: embodiment, rate_hz, cameras, arrays (see storage.shards.layout).
    """

    episodes: tuple[Mapping[str, Any], ...]
    files: tuple[FileRecord, ...]
    statistics: Mapping[str, Any] = field(default_factory=dict)
    steps: int
    bytes: int
    layout: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "episodes": [dict(episode) for episode in self.episodes],
            "files": [{"path": file.path, "bytes": file.bytes, "crc32c": file.crc32c} for file in self.files],
            "statistics": dict(self.statistics),
            "steps": self.steps,
            "bytes": self.bytes,
            "layout": dict(self.layout),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ShardRecord":
        """The inverse of `to_json`; raises CorruptFileError."""
        try:
            check_layout(record["layout"])
            return cls(
                episodes=tuple(record["episodes"]),
                files=tuple(FileRecord(**file) for file in record["files"]),
                statistics=record["statistics"],
                steps=record["steps"],
                bytes=record["bytes"],
                layout=record["layout"],
            )
        except (KeyError, TypeError) as error:
            raise CorruptFileError(f"a shard record lacks or has too much of {error}") from error
        except ValueError as error:
            raise CorruptFileError(str(error)) from error
