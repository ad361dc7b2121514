"""Where the state and the action of a LeRobot data set are stored: in the columns that a mapping names, in the parts
that modality.json names, or in columns of usual names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptFileError, SchemaError
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.mapping.column_map import ColumnMap, Piece, find_column
from storage.formats.mapping.usual_names import (
    ACTION_COLUMNS,
    ACTION_PREFIXES,
    STATE_COLUMNS,
    STATE_PREFIXES,
    usual_columns,
)

VectorName = Literal["state", "action"]
VECTORS: tuple[VectorName, ...] = ("state", "action")
_COLUMNS: Mapping[VectorName, str] = {"state": "observation.state", "action": "action"}
_USUAL = {"state": (STATE_COLUMNS, STATE_PREFIXES), "action": (ACTION_COLUMNS, ACTION_PREFIXES)}
_LABELS = ("lapa_action", "dream_actions")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """`column[start:end]` of the parquet file, times `scale`, is one part of a vector; "" names a whole column."""

    name: str
    column: str
    start: int
    end: int
    scale: float = 1.0
    xyzw: bool = False

    def of(self, path: Path, values: NDArray[Any]) -> NDArray[Any]:
        """This part of the rows (T, D) of its column; raises SchemaError when they are not as wide as promised."""
        if self.end > values.shape[1] or (not self.name and self.end != values.shape[1]):
            raise SchemaError(
                f"{path}: {self.column} has {values.shape[1]} numbers a row; its data set promises "
                f"{self.column}[{self.start}:{self.end}]"
            )
        piece = Piece(column=self.column, start=self.start, stop=self.end, scale=self.scale, xyzw=self.xyzw)
        return piece.of(values)


@dataclass(frozen=True, kw_only=True)
class VectorSource:
    """Where a vector comes from: a whole column, or slices of several columns in order."""

    slices: tuple[Slice, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(piece.column for piece in self.slices))

    @property
    def size(self) -> int:
        return sum(piece.end - piece.start for piece in self.slices)

    def read(self, path: Path, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The vector (T, D) from the rows (T, d) of its columns."""
        pieces = [part.of(path, columns[part.column]) for part in self.slices]
        return np.asarray(np.concatenate(pieces, axis=1), np.float32)


Vectors = Mapping[VectorName, VectorSource | None]


def vectors_of(meta: LeRobotMeta, chosen: ColumnMap | None = None) -> dict[VectorName, VectorSource | None]:
    """Where each vector of a data set is stored; None for one that it does not have."""
    return {vector: vector_source(meta, vector, chosen) for vector in VECTORS}


def vector_source(meta: LeRobotMeta, vector: VectorName, chosen: ColumnMap | None = None) -> VectorSource | None:
    """Where `vector` is stored, or None when nothing in the data set is known to be it.

    Usually one column, whose parts modality.json names. When modality.json takes parts from several columns, the vector
    is those parts one after another. Without either, columns of usual names are looked for.
    """
    pieces: tuple[Piece, ...] = getattr(chosen, vector) if chosen else ()
    if pieces:
        return VectorSource(slices=tuple(_mapped(meta, piece) for piece in pieces))
    column = _COLUMNS[vector]
    slices = _named_slices(meta, vector)
    if slices and {piece.column for piece in slices} != {column}:
        return VectorSource(slices=tuple(slices))
    if column in meta.features:
        size = _width(meta, column)
        slices.sort(key=lambda piece: (piece.start, piece.end))
        parts = _partition(slices, column, size)
        return VectorSource(slices=parts or (Slice(name="", column=column, start=0, end=size),))
    return _usual(meta, vector)


def _named_slices(meta: LeRobotMeta, vector: VectorName) -> list[Slice]:
    out = []
    for name, entry in meta.modality.get(vector, {}).items():
        column = str(entry.get("original_key") or _COLUMNS[vector])
        if column not in _LABELS:
            out.append(Slice(name=name, column=column, start=int(entry["start"]), end=int(entry["end"])))
    return out


def _mapped(meta: LeRobotMeta, piece: Piece) -> Slice:
    column = find_column(piece.column, _numeric(meta), str(meta.root))
    width = _width(meta, column)
    end = width if piece.stop is None else piece.stop
    if not piece.start < end <= width:
        raise SchemaError(f"the mapping asks for {column}[{piece.start}:{end}]; the column has {width} numbers a step")
    whole = (piece.start, end) == (0, width)
    name = _part_name(column, ()) + ("" if whole else f"_{piece.start}_{end}")
    return Slice(name=name, column=column, start=piece.start, end=end, scale=piece.scale, xyzw=piece.xyzw)


def _usual(meta: LeRobotMeta, vector: VectorName) -> VectorSource | None:
    whole, prefixes = _USUAL[vector]
    columns = usual_columns(_numeric(meta), whole, prefixes)
    if not columns:
        return None
    if len(columns) == 1 and columns[0] in whole:
        return VectorSource(slices=(Slice(name="", column=columns[0], start=0, end=_width(meta, columns[0])),))
    return VectorSource(
        slices=tuple(
            Slice(name=_part_name(column, prefixes), column=column, start=0, end=_width(meta, column))
            for column in columns
        )
    )


def _numeric(meta: LeRobotMeta) -> list[str]:
    return [
        name
        for name, feature in meta.features.items()
        if re.match(r"float|double|u?int|bool", str(feature.get("dtype", ""))) and len(feature.get("shape") or ()) == 1
    ]


def _part_name(column: str, prefixes: Sequence[str]) -> str:
    short = next((column.removeprefix(prefix) for prefix in prefixes if column.startswith(prefix)), column)
    return re.sub(r"[^A-Za-z0-9_]+", "_", short)


def _width(meta: LeRobotMeta, column: str) -> int:
    shape = meta.features[column].get("shape")
    if not shape or len(shape) != 1:
        raise CorruptFileError(f"{meta.root}/meta/info.json: {column} must have a shape of one number; got {shape}")
    return int(shape[0])


def _partition(slices: Sequence[Slice], column: str, size: int) -> tuple[Slice, ...]:
    """`slices` with what lies between them, or nothing when they overlap or leave the vector."""
    out: list[Slice] = []
    at = 0
    for piece in slices:
        if piece.start < at or piece.end > size:
            return ()
        if piece.start > at:
            out.append(Slice(name=f"unnamed_{at}", column=column, start=at, end=piece.start))
        out.append(piece)
        at = piece.end
    if out and at < size:
        out.append(Slice(name=f"unnamed_{at}", column=column, start=at, end=size))
    return tuple(out)
