"""Columns of a LeRobot episode as the arrays of an episode, and back to names.

| observation.state, action                     | state, action/ground_truth, float32                       |
| lapa_action, dream_actions                    | action/latent, action/predicted, float32                  |
| timestamp (float32 of index / fps)            | timestamp, float64 index / fps: exact                     |
| timestamp (anything else), recorded_timestamp | timestamp, as recorded                                    |
| any other numeric column                      | foreign/<column>, float64                                 |
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.lerobot.parquet_columns import is_numeric, matrix
from storage.formats.lerobot.vectors import VectorName, Vectors, vectors_of
from storage.formats.mapping.column_map import ColumnMap
from storage.formats.mapping.fates import Became, Fate
from storage.formats.untrusted.clean_names import clean_name, distinct
from storage.formats.untrusted.time_stamps import check_times

LABELS: Mapping[str, str] = {"lapa_action": "action/latent", "dream_actions": "action/predicted"}
"""Columns of the GR00T trainer's own labels -> arrays."""

RECORDED_TIMESTAMP = "recorded_timestamp"
_VECTORS: Mapping[str, VectorName] = {"state": "state", "action/ground_truth": "action"}
_TIMES = frozenset({"timestamp", RECORDED_TIMESTAMP})
_BOOKKEEPING = _TIMES | {"frame_index", "episode_index", "index", "task_index"}


def array_names(meta: LeRobotMeta, columns: Mapping[str, bool], chosen: ColumnMap | None = None) -> list[str]:
    """Names of the arrays of an episode with these columns (name -> whether it is numeric)."""
    vectors = vectors_of(meta, chosen)
    names = [array for column, array in LABELS.items() if column in columns]
    if _has_time(meta):
        names.append("timestamp")
    names += [name for name in _VECTORS if _columns_of(meta, vectors, name)]
    if any(column.startswith("annotation.") and column.endswith("validity") for column in columns):
        names.append("valid")
    return sorted({*names, *(array for _, array in _others(meta, columns, vectors))})


def read_arrays(meta: LeRobotMeta, path: Path, table: Any, chosen: ColumnMap | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of one episode, all but `valid`; raises SchemaError for columns that are not as promised."""
    numeric = {field.name: is_numeric(field.type) for field in table.schema}
    vectors = vectors_of(meta, chosen)
    arrays: dict[str, NDArray[Any]] = {}
    if _has_time(meta):
        arrays["timestamp"] = _timestamps(meta, path, table)
    for name, vector in _VECTORS.items():
        columns, source = _columns_of(meta, vectors, name), vectors[vector]
        if columns and source is not None:
            arrays[name] = source.read(path, {column: matrix(path, table, column) for column in columns})
    for column, name in LABELS.items():
        if column in numeric:
            arrays[name] = matrix(path, table, column).astype(np.float32)
    noted: Mapping[str, Any] = meta.ours.get("columns", {})
    for column, name in _others(meta, numeric, vectors):
        values = matrix(path, table, column)
        if column in noted:
            arrays[name] = values.astype(noted[column]["dtype"]).reshape(-1, *noted[column]["shape"])
        else:
            arrays[name] = values.astype(np.float64)
    return arrays


def column_fates(meta: LeRobotMeta, columns: Mapping[str, bool], chosen: ColumnMap | None = None) -> list[Fate]:
    """What becomes of the columns of numbers of an episode."""
    vectors = vectors_of(meta, chosen)
    fates = []
    for name, vector in _VECTORS.items():
        source = vectors[vector]
        if source and _columns_of(meta, vectors, name):
            at = 0
            for part in source.slices:
                width = part.end - part.start
                whole = part.name == "" or source.columns.count(part.column) == len(source.slices)
                column = part.column if whole and len(source.slices) == 1 else f"{part.column}[{part.start}:{part.end}]"
                detail = f"{name}[{at}:{at + width}]" + (f" {part.name}" if part.name else "")
                fates.append(Fate(column=column, became=vector, detail=detail, width=width))
                at += width
    fates += [Fate(column=column, became="label", detail=LABELS[column]) for column in LABELS if column in columns]
    fates += [Fate(column=column, became="time", detail="timestamp") for column in _TIMES if column in columns]
    fates += [Fate(column=column, became="index") for column in sorted(_BOOKKEEPING - _TIMES) if column in columns]
    known: Mapping[str, Became] = {"state": "state", "action/ground_truth": "action", "action/predicted": "action"}
    for column, name in _others(meta, columns, vectors):
        # What an export of ours noted is known by its array, whatever its column is called.
        became = known.get(name, "foreign" if name.startswith("foreign/") else "label")
        fates.append(Fate(column=column, became=became, detail=name, width=_width(meta, column)))
    return fates


def _width(meta: LeRobotMeta, column: str) -> int:
    shape = meta.features.get(column, {}).get("shape") or (1,)
    return int(np.prod([int(size) for size in shape]))


def _has_time(meta: LeRobotMeta) -> bool:
    """Whether episodes get a `timestamp`: always, unless our own export notes that they had none."""
    return not meta.ours or "timestamp" in meta.ours.get("arrays", ())


def _columns_of(meta: LeRobotMeta, vectors: Vectors, name: str) -> tuple[str, ...]:
    """The columns that a vector is read from; none when our own export only filled them in for others."""
    source = None if name in meta.ours.get("filled", ()) else vectors[_VECTORS[name]]
    return source.columns if source else ()


def _others(meta: LeRobotMeta, columns: Mapping[str, bool], vectors: Vectors) -> list[tuple[str, str]]:
    """(column, array name) of what has no place of its own: what our export noted, or foreign/<column>."""
    noted: Mapping[str, Any] = meta.ours.get("columns", {})
    taken = _BOOKKEEPING | LABELS.keys() | set(meta.ours.get("filled_columns", ()))
    for source in vectors.values():
        taken |= set(source.columns) if source else set()
    out: list[tuple[str, str]] = []
    for column, numeric in columns.items():
        if column in noted:
            out.append((column, str(noted[column]["array"])))
        elif numeric and column not in taken and not column.startswith("annotation."):
            out.append((column, distinct("foreign/" + clean_name(column), {name for _, name in out})))
    return out


def _timestamps(meta: LeRobotMeta, path: Path, table: Any) -> NDArray[np.float64]:
    """Seconds (T,). A float32 column that is just index / fps means index / fps, which float64 tells exactly.

    Raises SchemaError for stamps that go back, as those of a recording that was resumed do.
    """
    if RECORDED_TIMESTAMP in table.column_names:
        return matrix(path, table, RECORDED_TIMESTAMP)[:, 0].astype(np.float64)
    regular: NDArray[np.float64] = np.arange(table.num_rows) / meta.rate_hz
    if "timestamp" not in table.column_names:
        return regular
    recorded = matrix(path, table, "timestamp")[:, 0]
    if (recorded == regular.astype(np.float32)).all():
        return regular
    stamps: NDArray[np.float64] = recorded.astype(np.float64)
    check_times(str(path), stamps)
    return stamps
