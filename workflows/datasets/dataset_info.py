"""`pyramid data info` and `stats`: what a data set holds, for people and machines."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import sinks_of
from storage.statistics import Statistics
from workflows.report.collect import composition


def dataset_info(dataset: Dataset) -> dict[str, Any]:
    """Counts by layer and embodiment, and the sidecars there are; from the index alone."""
    return {
        "name": dataset.name,
        "folder": str(dataset.root),
        "episodes": len(dataset),
        "steps": dataset.steps,
        "shards": len(dataset.units()),
        "labels": [sink.name.removeprefix("labels/") for sink in sinks_of(dataset.root) if sink.is_labels],
        "contents": [asdict(row) for row in composition(dataset)],
    }


def episode_info(dataset: Dataset, episode_id: str) -> dict[str, Any]:
    """Everything about one episode but its numbers and pictures."""
    episode = dataset.episode(episode_id)
    names = ("episode_id", "parent_id", "layer", "embodiment", "length", "rate_hz", "instruction")
    arrays = {name: [str(rows.dtype), *rows.shape] for name, rows in episode.arrays.items()}
    cameras = {name: [view.height_px, view.width_px, view.codec] for name, view in episode.cameras.items()}
    return {
        **{name: getattr(episode, name) for name in names},
        "arrays": arrays,
        "cameras": cameras,
        "verdicts": list(episode.verdicts),
        "provenance": episode.provenance,
    }


def info_text(about: Mapping[str, Any]) -> str:
    """`about` for people: one line a fact, the contents as a table."""
    lines = [f"{key:14} {_shown(value)}" for key, value in about.items() if key != "contents"]
    for row in about.get("contents", ()):
        lines.append(
            f"{row['layer']:10} {row['embodiment']:20} {row['episodes']:8,} episodes {row['frames']:10,} frames"
            f" {row['hours']:9.3f} h  {row['rates']}  cameras: {row['cameras'] or 'none'}  actions: {row['labels']}"
        )
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return json.dumps(value, indent=2) if isinstance(value, dict) else str(value)


def statistics_text(merged: Mapping[str, Mapping[str, Statistics]]) -> str:
    """Merged statistics as tables of text."""
    lines = []
    pairs = ((embodiment, field) for embodiment, fields in merged.items() for field in fields)
    for embodiment, field in pairs:
        statistics = merged[embodiment][field]
        lines.append(
            f"{embodiment} {field}: {statistics.count:,} steps, {int(statistics.constant.sum())} constant dimensions"
        )
        lines.append(f"  {'':4}{'mean':>11}{'std':>11}{'min':>11}{'q01':>11}{'q99':>11}{'max':>11}")
        columns = zip(
            statistics.mean, statistics.std, statistics.min, statistics.q01, statistics.q99, statistics.max, strict=True
        )
        for place, numbers in enumerate(columns):
            lines.append(f"  {place:<4}" + "".join(f"{number:11.4g}" for number in numbers))
    return "\n".join(lines)
