"""Subtasks of a LeRobot v3.0 data set: the table of LeRobot 0.4.4 to 0.5.1, and the language columns of 0.6.

A cell of a language column is a list of structs (role, content, style, timestamp, camera, tool_calls). Persistent
ones repeat on every row; each holds from its own `timestamp` on. Events stand on their row alone.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from storage.errors import CorruptFileError

PERSISTENT, EVENTS = "language_persistent", "language_events"
LANGUAGE_COLUMNS = (PERSISTENT, EVENTS)


def read_subtasks(root: Path) -> Mapping[int, str]:
    """subtask_index -> text, of meta/subtasks.parquet; {} where there is none."""
    path = root / "meta" / "subtasks.parquet"
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=8)
def _read(path: Path, changed_ns: int) -> Mapping[int, str]:
    try:
        table = pyarrow.parquet.read_table(path, use_threads=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a readable parquet file ({error})") from error
    texts = [name for name in ("subtask", "__index_level_0__") if name in table.column_names]
    if "subtask_index" not in table.column_names or not texts:
        raise CorruptFileError(
            f"{path} has the columns {', '.join(table.column_names)}; expected subtask_index and texts"
        )
    pairs = zip(table["subtask_index"].to_pylist(), table[texts[0]].to_pylist(), strict=True)
    return {int(number): str(text) for number, text in pairs if number is not None}


def language_runs(table: Any, rate_hz: float) -> dict[str, list[list[Any]]]:
    """What the language columns say, as [[first step, text], ...] by "language.<style>"; {} where there are none."""
    runs: dict[str, list[list[Any]]] = {}
    if PERSISTENT in table.column_names and table.num_rows:
        for entry in _entries(table[PERSISTENT][0].as_py()):
            step = max(0, round(float(entry.get("timestamp") or 0.0) * rate_hz))
            runs.setdefault(_key(entry), []).append([step, _text(entry)])
    if EVENTS in table.column_names:
        for step, cell in enumerate(table[EVENTS].to_pylist()):
            for entry in _entries(cell):
                runs.setdefault(_key(entry), []).append([step, _text(entry)])
    return {key: _runs(its) for key, its in sorted(runs.items())}


def _runs(said: list[list[Any]]) -> list[list[Any]]:
    """Runs from step 0 on, with texts of one step joined."""
    by_step: dict[int, list[str]] = {0: []}
    for step, text in said:
        by_step.setdefault(step, []).append(text)
    return [[step, " | ".join(by_step[step])] for step in sorted(by_step)]


def _entries(cell: Any) -> list[dict[str, Any]]:
    return [entry for entry in cell or () if isinstance(entry, dict)]


def _key(entry: Mapping[str, Any]) -> str:
    return f"language.{entry.get('style') or entry.get('role') or 'text'}"


def _text(entry: Mapping[str, Any]) -> str:
    content = entry.get("content")
    return content if isinstance(content, str) else ""
