"""Columns of a LeRobot episode as the arrays of an episode, and back to names.

| observation.state, action                     | state, action/ground_truth, float32                       |
| lapa_action, dream_actions                    | action/latent, action/predicted, float32                  |
| timestamp (float32 of index / fps)            | timestamp, float64 index / fps: exact                     |
| timestamp (anything else), recorded_timestamp | timestamp, as recorded                                    |
| any other numeric column                      | foreign/<column>, float64                                 |
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError
from storage.formats.lerobot.layout import Slice, VectorName, vector_source
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.lerobot.parquet_columns import is_numeric, matrix

LABELS: Mapping[str, str] = {"lapa_action": "action/latent", "dream_actions": "action/predicted"}
"""Columns of the GR00T trainer's own labels -> arrays."""

RECORDED_TIMESTAMP = "recorded_timestamp"
_VECTORS: Mapping[str, VectorName] = {"state": "state", "action/ground_truth": "action"}
_BOOKKEEPING = frozenset({"timestamp", RECORDED_TIMESTAMP, "frame_index", "episode_index", "index", "task_index"})


def array_names(meta: LeRobotMeta, columns: Mapping[str, bool]) -> list[str]:
    """Names of the arrays of an episode with these columns (name -> whether it is numeric)."""
    names = [array for column, array in LABELS.items() if column in columns]
    if _has_time(meta):
        names.append("timestamp")
    names += [name for name in _VECTORS if _columns_of(meta, name)]
    if any(column.startswith("annotation.") and column.endswith("validity") for column in columns):
        names.append("valid")
    return sorted(names + [array for _, array in _others(meta, columns)])


def read_arrays(meta: LeRobotMeta, path: Path, table: Any) -> dict[str, NDArray[Any]]:
    """The arrays of one episode, all but `valid`; raises SchemaError for columns that are not as promised."""
    numeric = {field.name: is_numeric(field.type) for field in table.schema}
    arrays: dict[str, NDArray[Any]] = {}
    if _has_time(meta):
        arrays["timestamp"] = _timestamps(meta, path, table)
    for name in _VECTORS:
        columns = _columns_of(meta, name)
        source = vector_source(meta, _VECTORS[name])
        if columns and source is not None:
            whole = {column: matrix(path, table, column) for column in columns}
            pieces = [_piece(path, whole[part.column], part) for part in source.slices]
            arrays[name] = np.concatenate(pieces, axis=1).astype(np.float32)
    for column, name in LABELS.items():
        if column in numeric:
            arrays[name] = matrix(path, table, column).astype(np.float32)
    noted: Mapping[str, Any] = meta.ours.get("columns", {})
    for column, name in _others(meta, numeric):
        values = matrix(path, table, column)
        if column in noted:
            arrays[name] = values.astype(noted[column]["dtype"]).reshape(-1, *noted[column]["shape"])
        else:
            arrays[name] = values.astype(np.float64)
    return arrays


def _has_time(meta: LeRobotMeta) -> bool:
    """Whether episodes get a `timestamp`: always, unless our own export notes that they had none."""
    return not meta.ours or "timestamp" in meta.ours.get("arrays", ())


def _columns_of(meta: LeRobotMeta, name: str) -> tuple[str, ...]:
    """The columns that a vector is read from; none when our own export only filled them in for others."""
    source = None if name in meta.ours.get("filled", ()) else vector_source(meta, _VECTORS[name])
    return source.columns if source else ()


def _others(meta: LeRobotMeta, columns: Mapping[str, bool]) -> list[tuple[str, str]]:
    """(column, array name) of what has no place of its own: what our export noted, or foreign/<column>."""
    noted: Mapping[str, Any] = meta.ours.get("columns", {})
    taken = _BOOKKEEPING | LABELS.keys() | set(meta.ours.get("filled_columns", ()))
    for vector in _VECTORS.values():
        source = vector_source(meta, vector)
        taken |= set(source.columns) if source else set()
    out = []
    for column, numeric in columns.items():
        if column in noted:
            out.append((column, str(noted[column]["array"])))
        elif numeric and column not in taken and not column.startswith("annotation."):
            out.append((column, "foreign/" + re.sub(r"[^A-Za-z0-9_.\-]", "_", column)))
    return out


def _piece(path: Path, values: NDArray[Any], part: Slice) -> NDArray[Any]:
    if part.end > values.shape[1] or (not part.name and part.end != values.shape[1]):
        raise SchemaError(
            f"{path}: {part.column} has {values.shape[1]} numbers a row; its data set promises "
            f"{part.column}[{part.start}:{part.end}]"
        )
    return values[:, part.start : part.end]


def _timestamps(meta: LeRobotMeta, path: Path, table: Any) -> NDArray[np.float64]:
    """Seconds (T,). A float32 column that is just index / fps means index / fps, which float64 tells exactly."""
    if RECORDED_TIMESTAMP in table.column_names:
        return matrix(path, table, RECORDED_TIMESTAMP)[:, 0].astype(np.float64)
    regular: NDArray[np.float64] = np.arange(table.num_rows) / meta.rate_hz
    if "timestamp" not in table.column_names:
        return regular
    recorded = matrix(path, table, "timestamp")[:, 0]
    return regular if (recorded == regular.astype(np.float32)).all() else recorded.astype(np.float64)
