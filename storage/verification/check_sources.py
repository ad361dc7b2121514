"""Whether the videos that a data set's references name are there, and are what they were."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import MissingFileError
from storage.ids import file_hash
from storage.pictures.source_frame import find_source


@dataclass(frozen=True)
class LostSource:
    """A source video that references cannot be read from, with the episodes that need it."""

    file: str
    text: str
    episodes: int


def lost_sources(episodes: Iterable[Mapping[str, Any]]) -> Iterator[LostSource]:
    """Every source of `episodes` (records of manifests) that vanished or changed. Reads each file once."""
    needed: dict[tuple[str, str, str], int] = {}
    for episode in episodes:
        source = episode.get("provenance", {}).get("source", {})
        if isinstance(source, Mapping) and source.get("frames") == "reference":
            key = (str(source["root"]), str(source["file"]), str(source["sha256"]))
            needed[key] = needed.get(key, 0) + 1
    for (root, file, expected), count in sorted(needed.items()):
        try:
            path = find_source(root, file)
        except MissingFileError as error:
            yield LostSource(f"{root}/{file}", str(error), count)
            continue
        if (came := file_hash(path)) != expected:
            text = f"has changed: expected sha256 {expected[:12]}..., got {came[:12]}...; {count} clips need it"
            yield LostSource(str(path), text, count)
