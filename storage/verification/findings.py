"""What can be wrong with a data set: one finding a thing, with the command that mends it."""

from dataclasses import dataclass
from typing import Literal, get_args

from storage.datasets.unit_paths import Sink

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
    "selection",
    "review",
    "orphan",
    "leftover",
]
GARBAGE: frozenset[Kind] = frozenset({"orphan", "leftover"})
"""Kinds that no reader ever sees and `clean` removes."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it must be. `path` is relative to the data set; `sink` and `unit_id` say whose it is,
    where it belongs to one unit, `episode_id` which episode is in another unit too."""

    kind: Kind
    path: str
    text: str
    sink: str = ""
    unit_id: str = ""
    episode_id: str = ""

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
        if self.kind == "selection":
            return f"pyramid data select DATASET --name {self.path.rpartition('/')[2].removesuffix('.json')}"
        if self.kind == "review":
            return "write the line anew as one JSON object without _seal, or remove it; readers skip it"
        return "pyramid resume DATASET" if self.kind == "plan" else "pyramid data repair DATASET"

    def __str__(self) -> str:
        return f"{self.kind}: {self.path}: {self.text} ({self.mend})"


def of_unit(sink: Sink, unit_id: str, *, kind: Kind, path: str, text: str) -> Finding:
    """A finding about one unit of `sink`."""
    return Finding(kind=kind, path=path, text=text, sink=sink.name, unit_id=unit_id)
