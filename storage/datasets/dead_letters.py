"""Dead letters: units that were given up, each with the whole story of why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.atomic_files import read_json, sealed_json_bytes, write_whole
from storage.datasets.unit_paths import SHARDS, Sink
from storage.errors import CorruptFileError


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """Why a unit was given up after `attempts` attempts; `error` is the name of the last error's class."""

    unit_id: str
    job: str
    sink: str = SHARDS
    stage: str
    attempts: int
    host: str
    error: str
    message: str
    traceback: str = ""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "DeadLetter":
        """The inverse of `asdict`; raises CorruptFileError."""
        try:
            return cls(**record)
        except TypeError as error:
            raise CorruptFileError(f"a dead letter lacks or has too much: {error}") from error


def write_dead_letter(root: Path, letter: DeadLetter) -> None:
    """Record that a unit was given up, in place of an earlier record about it."""
    write_whole(Sink(root, letter.sink).dead_letter(letter.unit_id), sealed_json_bytes(asdict(letter)))


def read_dead_letters(sink: Sink) -> list[DeadLetter]:
    """The dead letters of a sink, by unit id; those of units that were committed later are left out."""
    return [DeadLetter.from_json(read_json(sink.dead_letter(unit_id))) for unit_id in sorted(sink.dead())]


def bury(sink: Sink) -> int:
    """Remove the dead letters of units that were committed after all; returns how many."""
    risen = [path for path in sink.dead_letters.glob("*.json") if sink.manifest(path.stem).exists()]
    for path in risen:
        path.unlink(missing_ok=True)
    return len(risen)
