"""Statistics as LeRobot and the GR00T trainers want them: per episode, over all rows, and of sampled images in 0..1."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.formats.lerobot.parquet_columns import matrix, read_table
from storage.frames import Frames

_IMAGES_PER_EPISODE = 32
_VALUES_AT_ONCE = 1 << 26


def episode_statistics(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, list[Any]]]:
    """min, max, mean, std and count of each column, as in episodes_stats.jsonl."""
    out = {}
    for name, values in columns.items():
        rows = finite_rows(values.reshape(len(values), -1).astype(np.float64))
        out[name] = {
            "min": rows.min(axis=0).tolist(),
            "max": rows.max(axis=0).tolist(),
            "mean": rows.mean(axis=0).tolist(),
            "std": rows.std(axis=0).tolist(),
            "count": [len(rows)],
        }
    return out


def image_statistics(frames: Frames) -> dict[str, Any]:
    """min, max, mean and std (3, 1, 1) of each colour in 0..1, over at most 32 frames spread evenly; decoded singly."""
    chosen = _sample(frames)
    low, high = np.full(3, 255, np.uint8), np.zeros(3, np.uint8)
    means, deviations = np.empty((len(chosen), 3)), np.empty((len(chosen), 3))
    for row, index in enumerate(chosen):
        image = np.asarray(frames.decode([int(index)])[0])
        # Row by row first: numpy reduces long contiguous rows many times faster than single pixels.
        low, high = np.minimum(low, image.min(axis=0).min(axis=0)), np.maximum(high, image.max(axis=0).max(axis=0))
        mean, deviation = cv2.meanStdDev(image)
        means[row], deviations[row] = mean[:, 0], deviation[:, 0]
    mean = means.mean(axis=0)
    std = np.sqrt((deviations**2 + means**2).mean(axis=0) - mean**2)
    told = {"min": low, "max": high, "mean": mean, "std": std}
    shaped = {name: (values / 255).reshape(3, 1, 1).tolist() for name, values in told.items()}
    return {**shaped, "count": [len(chosen)]}


def sampled_images(frames: Frames) -> Iterator[NDArray[Any]]:
    """At most 32 frames spread evenly, decoded singly."""
    return (np.asarray(frames.decode([int(index)])[0]) for index in _sample(frames))


def _sample(frames: Frames) -> NDArray[np.int64]:
    spread = np.linspace(0, len(frames) - 1, min(len(frames), _IMAGES_PER_EPISODE))
    return np.unique(spread.astype(np.int64))


def total_statistics(files: Sequence[Path], widths: Mapping[str, int], steps: int) -> dict[str, dict[str, list[float]]]:
    """mean, std, min, max, q01 and q99 of each column over all `steps` rows of `files`, exact, as in stats.json.

    The files are read back once for every 2^26 numbers, which bounds the memory (or by one dimension's rows).
    """
    out: dict[str, dict[str, list[float]]] = {name: {} for name in widths}
    for batch in _batches(widths, max(1, _VALUES_AT_ONCE // max(1, steps))):
        rows: list[list[NDArray[Any]]] = [[] for _ in batch]
        for path in files:
            table = read_table(path, sorted({name for name, _ in batch}))
            for place, (name, span) in enumerate(batch):
                rows[place].append(matrix(path, table, name)[:, span])
        for (name, _), parts in zip(batch, rows, strict=True):
            for key, values in _of(np.concatenate(parts)).items():
                out[name].setdefault(key, []).extend(values)
    return out


def _batches(widths: Mapping[str, int], dimensions: int) -> Iterator[list[tuple[str, slice]]]:
    """Pieces (column, dimensions of it) in lots of at most `dimensions` dimensions."""
    lot: list[tuple[str, slice]] = []
    room = dimensions
    for name, width in widths.items():
        start = 0
        while start < width:
            if not room:
                yield lot
                lot, room = [], dimensions
            stop = min(width, start + room)
            lot.append((name, slice(start, stop)))
            room, start = room - (stop - start), stop
    if lot:
        yield lot


def finite_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows without NaN or infinity, which JSON cannot say; one row of zeros when there are none."""
    finite = rows[np.isfinite(rows).all(axis=1)]
    return finite if len(finite) else np.zeros((1, rows.shape[1]), rows.dtype)


def _of(rows: NDArray[Any]) -> dict[str, list[float]]:
    rows = finite_rows(rows if rows.dtype.kind == "f" else rows.astype(np.float64))
    low, high = np.quantile(rows, [0.01, 0.99], axis=0)
    return {
        "mean": rows.mean(axis=0, dtype=np.float64).tolist(),
        "std": rows.std(axis=0, dtype=np.float64).tolist(),
        "min": rows.min(axis=0).tolist(),
        "max": rows.max(axis=0).tolist(),
        "q01": low.tolist(),
        "q99": high.tolist(),
    }
