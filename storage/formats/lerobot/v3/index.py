"""Where the episodes of a LeRobot v3.0 data set lie: many share one parquet file and one mp4 of each camera."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from storage.errors import CorruptFileError, MissingFileError, SchemaError
from storage.formats.untrusted.limits import regular

_NEEDED = ("episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")
_NAMELESS = "__index_level_0__"


@dataclass(frozen=True, kw_only=True)
class V3Index:
    """`episodes` are the rows of meta/episodes without statistics, sorted by episode_index; `tasks` task_index ->
    text."""

    root: Path
    episodes: tuple[Mapping[str, Any], ...]
    tasks: Mapping[int, str]

    def place(self, number: int, key: str = "") -> tuple[int, int]:
        """(chunk_index, file_index) of an episode's rows, or of its video under feature `key`."""
        row, prefix = self.row(number), f"videos/{key}" if key else "data"
        try:
            return int(row[f"{prefix}/chunk_index"]), int(row[f"{prefix}/file_index"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"{self.root}: episode {number} does not say where its {prefix} is ({error})"
            ) from error

    def row(self, number: int) -> Mapping[str, Any]:
        """What meta/episodes says about an episode."""
        return self._row_of[number]

    def rows_in_file(self, number: int) -> tuple[int, int]:
        """[first, end) of an episode's rows in its parquet file."""
        row = self.row(number)
        first = self._first_of_file[self.place(number)]
        return int(row["dataset_from_index"]) - first, int(row["dataset_to_index"]) - first

    def starts_at_s(self, number: int, key: str) -> float:
        """Seconds at which an episode begins in its shared mp4."""
        start = self.row(number).get(f"videos/{key}/from_timestamp")
        if not isinstance(start, int | float) or not 0 <= start < 1e7:
            raise CorruptFileError(
                f"{self.root}: episode {number} does not say where its video {key} begins ({start!r})"
            )
        return float(start)

    @cached_property
    def _row_of(self) -> dict[int, Mapping[str, Any]]:
        return {int(row["episode_index"]): row for row in self.episodes}

    @cached_property
    def _first_of_file(self) -> dict[tuple[int, int], int]:
        first: dict[tuple[int, int], int] = {}
        for row in self.episodes:
            place = int(row["data/chunk_index"]), int(row["data/file_index"])
            first[place] = min(first.get(place, 1 << 62), int(row["dataset_from_index"]))
        return first


def read_v3_index(root: Path, info: Mapping[str, Any]) -> V3Index:
    """The index of `root`; raises MissingFileError, or CorruptFileError for files that a killed recording left
    behind."""
    files = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    if not files:
        raise MissingFileError(f"{root}/meta/episodes holds no parquet file; a LeRobot v3.0 data set has one")
    rows: dict[int, dict[str, Any]] = {}
    for path in files:
        for row in _rows(path):
            if any(not isinstance(row.get(name), int) for name in _NEEDED):
                raise CorruptFileError(f"{path}: an episode lacks one of {', '.join(_NEEDED)}")
            if int(row["episode_index"]) in rows:
                raise CorruptFileError(f"{path}: episode {row['episode_index']} stands there twice")
            rows[int(row["episode_index"])] = row
    episodes = tuple(rows[number] for number in sorted(rows))
    return V3Index(root=root, episodes=episodes, tasks=_tasks(root, info))


def _rows(path: Path) -> list[dict[str, Any]]:
    schema = _read(path, None, schema=True)
    columns = [name for name in schema.names if not name.startswith("stats/")]
    return list(_read(path, columns).to_pylist())


def _tasks(root: Path, info: Mapping[str, Any]) -> dict[int, str]:
    """task_index -> text. The text is the pandas index of the table, in an older form a column `task`."""
    path = root / "meta" / "tasks.parquet"
    if not path.is_file():
        if int(info.get("total_tasks") or 0) == 0:
            return {}
        raise MissingFileError(f"{path} is not there; info.json promises {info.get('total_tasks')} tasks")
    table = _read(path, None)
    names = [name for name in ("task", _NAMELESS, "__index_level_0__") if name in table.column_names]
    if "task_index" not in table.column_names or not names:
        raise SchemaError(
            f"{path} has the columns {', '.join(table.column_names)}; expected task_index and the texts as `task` or "
            "as the "
            "table's index: write the file again with pandas, with the texts as its index"
        )
    texts = zip(table["task_index"].to_pylist(), table[names[0]].to_pylist(), strict=True)
    return {int(number): str(text if text is not None else "") for number, text in texts if number is not None}


def _read(path: Path, columns: list[str] | None, *, schema: bool = False) -> Any:
    regular(path, "a table of LeRobot v3.0")
    try:
        if schema:
            return pyarrow.parquet.read_schema(path)
        return pyarrow.parquet.read_table(path, columns=columns, use_threads=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(
            f"{path} is not a readable parquet file ({error}); a recording that was killed before it was finalised "
            "has no "
            "footer: its episodes since the last one are lost, resume and finalise it with LeRobot"
        ) from error
