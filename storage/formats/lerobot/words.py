"""The words of a LeRobot data set: its robot's type, keys and names, kept at import and given back by an export.

A trainer's config names them ("single_arm", "human.task_description"), so a data set that comes back under other
names is another data set to it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from storage.episode import Episode
from storage.formats.lerobot.layout import feature_names
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.lerobot.vectors import VectorName, Vectors, VectorSource

_ROW = frozenset({"episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index"})


def words_of(meta: LeRobotMeta, vectors: Vectors, cameras: Mapping[str, str], instruction: str) -> dict[str, Any]:
    """What an export needs to speak as the source does: `cameras` camera -> feature key, `instruction` its column."""
    record: dict[str, Any] = {
        "robot_type": meta.robot_type,
        "cameras": {name: key for name, key in cameras.items() if key != f"observation.images.{name}"},
        "instruction": instruction,
    }
    for vector, source in vectors.items():
        if source is None:
            continue
        names = _names(meta, source)
        entries = _entries(meta, vector, source)
        if names:
            record.setdefault("names", {})[vector] = names
        if entries:
            record.setdefault("modality", {})[vector] = entries
    if meta.info.get("tools"):
        record["tools"] = meta.info["tools"]
    if meta.modality:
        # Trainers join vectors and views in the order of their keys, and JSON objects are stored sorted.
        record["order"] = {section: list(entries) for section, entries in meta.modality.items()}
    for section in ("video", "annotation"):
        if section in meta.modality:
            record.setdefault("modality", {})[section] = dict(meta.modality[section])
    return record


def source_words(episode: Episode) -> Mapping[str, Any]:
    """The words that an episode was imported with; {} where there was no source that had any."""
    words: Mapping[str, Any] = episode.provenance.get("imported", {}).get("words", {})
    return words


def episode_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a table of episodes says about one beside what LeRobot itself needs (GR00T's "sub_tasks", the subtasks of
    SARM, notes of a laboratory), as JSON."""
    return {
        name: _plain(value)
        for name, value in row.items()
        if value is not None and name not in _ROW and not name.startswith(("data/", "videos/", "meta/", "stats/"))
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _names(meta: LeRobotMeta, source: VectorSource) -> list[str]:
    """A name for every number of a vector, [] where the source does not name them all."""
    names: list[str] = []
    for part in source.slices:
        its = feature_names(meta.features.get(part.column, {}).get("names"))
        names += its[part.start : part.end]
    return names if len(names) == source.size else []


def _entries(meta: LeRobotMeta, vector: VectorName, source: VectorSource) -> dict[str, Any]:
    """The entries of modality.json for a vector, with their places in our vector."""
    given: Mapping[str, Any] = meta.modality.get(vector, {})
    if len(source.columns) == 1 and source.slices[0].start == 0:
        (column,) = source.columns
        usual = "observation.state" if vector == "state" else "action"
        mine = {name: entry for name, entry in given.items() if str(entry.get("original_key") or usual) == column}
        return {name: _entry(entry, entry["start"], entry["end"]) for name, entry in mine.items()}
    entries, at = {}, 0
    for part in source.slices:
        end = at + part.end - part.start
        if part.name in given:
            entries[part.name] = _entry(given[part.name], at, end)
        at = end
    return entries


def _entry(given: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    about = {key: value for key, value in given.items() if key not in ("start", "end", "original_key")}
    return {"start": start, "end": end, **about}
