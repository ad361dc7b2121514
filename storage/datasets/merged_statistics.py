"""Statistics of a whole data set, from the manifests alone.

statistics/merged.json    for whoever wants them without this program; {embodiment: {field: ...}}
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import read_manifests
from storage.shards.streams import disk_errors
from storage.statistics import Statistics, merge

Merged = Mapping[str, Mapping[str, Statistics]]
"""Embodiment -> field -> statistics."""


def merged_statistics(dataset: Dataset, units: Collection[str] | None = None) -> Merged:
    """Statistics of each embodiment's fields over all units of `dataset` (or these) and of its joined labels."""
    parts: dict[str, dict[str, list[Statistics]]] = {}
    for sink in (dataset.sink, *dataset.label_sinks):
        for manifest in read_manifests(sink):
            if manifest.shard is None or manifest.unit_id not in dataset.index.layout_of_unit:
                continue
            if units is not None and manifest.unit_id not in units:
                continue
            for embodiment, fields in manifest.shard.statistics.items():
                for name, record in fields.items():
                    parts.setdefault(embodiment, {}).setdefault(name, []).append(Statistics.from_json(record))
    return {
        embodiment: {name: merge(each) for name, each in sorted(fields.items())}
        for embodiment, fields in sorted(parts.items())
    }


def write_merged_statistics(dataset: Dataset) -> Path:
    """Merge, and keep the result in the data set's folder; returns the file."""
    record = {
        embodiment: {name: _readable(each) for name, each in fields.items()}
        for embodiment, fields in merged_statistics(dataset).items()
    }
    path = dataset.root / "statistics" / "merged.json"
    with disk_errors(path):
        write_whole(path, json_bytes(record))
    return path


def _readable(each: Statistics) -> dict[str, Any]:
    names = ("mean", "std", "min", "max", "q01", "q99", "constant")
    return {"count": each.count, **{name: getattr(each, name).tolist() for name in names}}
