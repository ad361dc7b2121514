"""Statistics of LeRobot v3.0: of each episode, with quantiles, and merged over all as LeRobot merges them (the
quantiles of a whole set are the outermost of its episodes', not those of all its rows)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.formats.lerobot.statistics import finite_rows, sampled_images
from storage.frames import Frames, frame_codec

Statistics = Mapping[str, NDArray[Any]]
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def of_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, Statistics]:
    """min, max, mean, std, count and quantiles of each column of an episode."""
    return {
        name: _of(finite_rows(values.reshape(len(values), -1).astype(np.float64)), len(values))
        for name, values in columns.items()
    }


def of_images(frames: Frames) -> Statistics:
    """The same of each channel, (C, 1, 1), over frames spread evenly: colour in 0..1, depth in its own unit."""
    images = np.stack(list(sampled_images(frames)))
    colour = frame_codec(frames.codec).channels == 3
    rows = images.reshape(-1, 3) if colour else images.reshape(-1, 1)
    statistics = _of(rows.astype(np.float32) / (255 if colour else 1), len(images))
    return {name: values if name == "count" else values.reshape(-1, 1, 1) for name, values in statistics.items()}


def merged_statistics(episodes: Sequence[Mapping[str, Statistics]]) -> dict[str, dict[str, Any]]:
    """stats.json of all `episodes`: envelope, weighted mean, pooled variance."""
    return {name: _merged([episode[name] for episode in episodes]) for name in episodes[0]}


def _of(rows: NDArray[Any], count: int) -> dict[str, NDArray[Any]]:
    ranks = np.quantile(rows, list(_QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0).astype(np.float64),
        "max": rows.max(axis=0).astype(np.float64),
        "mean": rows.mean(axis=0, dtype=np.float64),
        "std": rows.std(axis=0, dtype=np.float64),
        "count": np.array([count], np.int64),
        **{name: ranks[place].astype(np.float64) for place, name in enumerate(_QUANTILES)},
    }


def _merged(parts: Sequence[Statistics]) -> dict[str, Any]:
    counts = np.array([part["count"][0] for part in parts], np.float64)
    weights = (counts / counts.sum()).reshape(-1, *[1] * parts[0]["mean"].ndim)
    means = np.stack([part["mean"] for part in parts])
    mean = (weights * means).sum(axis=0)
    variance = (weights * (np.stack([part["std"] for part in parts]) ** 2 + (means - mean) ** 2)).sum(axis=0)
    out: dict[str, Any] = {
        "min": np.min([part["min"] for part in parts], axis=0).tolist(),
        "max": np.max([part["max"] for part in parts], axis=0).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "count": [int(counts.sum())],
    }
    for name, rank in _QUANTILES.items():
        outermost = np.min if rank <= 0.5 else np.max
        out[name] = outermost([part[name] for part in parts], axis=0).tolist()
    return out
