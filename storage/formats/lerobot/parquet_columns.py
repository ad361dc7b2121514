"""Columns of a parquet file as arrays, with errors that say which file, column and row is wrong."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from storage.errors import CorruptFileError, SchemaError
from storage.formats.untrusted.limits import LIMITS, regular


def read_table(path: Path, columns: Sequence[str] | None = None, rows: tuple[int, int] | None = None) -> Any:
    """The pyarrow table in `path`, or only `columns` and rows [first, end) of it; raises MissingFileError or
    CorruptFileError, also for a file that unpacks to more than an episode can hold."""
    regular(path, "the rows of an episode")
    try:
        file = _opened(path, path.stat().st_mtime_ns)
        groups, before = _groups(file.metadata, rows)
        size = sum(file.metadata.row_group(group).total_byte_size for group in groups) / 1e6
        if size > LIMITS.table_megabytes:
            raise CorruptFileError(f"{path} unpacks to {size:.0f} MB; at most {LIMITS.table_megabytes:.0f} MB are read")
        # One thread: units run side by side.
        table = file.read_row_groups(groups, columns=columns, use_threads=False)
        if rows is not None:
            table = table.slice(rows[0] - before, rows[1] - rows[0])
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, CorruptFileError):
            raise
        raise CorruptFileError(
            f"{path} is not a readable parquet file ({error}); fetch or write it again, or leave the episode out"
        ) from error
    if table.num_rows == 0:
        raise SchemaError(f"{path} has no rows; leave the episode out")
    return table


# The episodes of a shared file are read one after another; its footer lists all of them.
@lru_cache(maxsize=4)
def _opened(path: Path, changed_ns: int) -> Any:
    return pyarrow.parquet.ParquetFile(path)


def _groups(metadata: Any, rows: tuple[int, int] | None) -> tuple[list[int], int]:
    """The row groups that hold `rows` (None: all), and the number of rows before the first of them."""
    if rows is None:
        return list(range(metadata.num_row_groups)), 0
    ends = np.cumsum([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)], dtype=np.int64)
    if not 0 <= rows[0] < rows[1] <= (int(ends[-1]) if len(ends) else 0):
        raise ValueError(f"rows {rows[0]} to {rows[1]} are asked for; the file has {metadata.num_rows}")
    first, last = np.searchsorted(ends, [rows[0], rows[1] - 1], side="right")
    return list(range(int(first), int(last) + 1)), int(ends[first - 1]) if first else 0


def read_schema(path: Path) -> Any:
    """The pyarrow schema of `path`, from its footer alone; raises as `read_table`."""
    regular(path, "the rows of an episode")
    try:
        return pyarrow.parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a readable parquet file ({error})") from error


def is_text(kind: Any) -> bool:
    """Whether a column of this pyarrow type holds text."""
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def is_numeric(kind: Any) -> bool:
    """Whether a column of this pyarrow type is a number, or a list of numbers, a row."""
    while _is_list(kind):
        kind = kind.value_type
    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind))


def _is_list(kind: Any) -> bool:
    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def matrix(path: Path, table: Any, name: str) -> NDArray[Any]:
    """Column `name` as (T, D) in its own dtype, D = 1 for scalars; raises SchemaError for ragged or missing values."""
    if name not in table.column_names:
        raise SchemaError(f"{path} has no column {name!r}; it has {', '.join(table.column_names)}")
    column = table.column(name).combine_chunks()
    rows = len(column)
    width = 1
    while _is_list(column.type):
        if column.null_count:
            raise SchemaError(f"{path}: column {name!r} has rows without a value")
        inner = column.flatten()
        if rows and (len(inner) % rows or not _even(column, len(inner) // len(column))):
            raise SchemaError(f"{path}: the lists of column {name!r} differ in length")
        width, column = len(inner) // rows, inner
    if column.null_count:
        raise SchemaError(f"{path}: column {name!r} has numbers missing; mend or drop the episode")
    return np.asarray(column.to_numpy(zero_copy_only=False)).reshape(rows, width)


def _even(column: Any, width: int) -> bool:
    if pyarrow.types.is_fixed_size_list(column.type):
        return True
    return bool((np.asarray(column.value_lengths().to_numpy(zero_copy_only=False)) == width).all())
