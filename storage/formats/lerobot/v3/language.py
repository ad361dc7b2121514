"""The language columns of LeRobot 0.6: what is said about an episode, with its role, style, camera and tool calls.

A cell is a list of structs. Persistent entries repeat on every row and each holds from its own `timestamp` on; events
stand on their row alone (lerobot 0.6, datasets/language.py). They are kept whole in the provenance of an episode, so
that an export gives them back.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow

from storage.episode import Episode

PERSISTENT, EVENTS = "language_persistent", "language_events"
LANGUAGE_COLUMNS = (PERSISTENT, EVENTS)
LANGUAGE_FEATURES: Mapping[str, Mapping[str, Any]] = {
    name: {"dtype": "language", "shape": [1], "names": None} for name in LANGUAGE_COLUMNS
}
_FIELDS = ("role", "content", "style", "camera", "tool_calls")


def read_language(table: Any) -> dict[str, Any]:
    """{"persistent": entries, "events": [[step, entries], ...]} of the rows of an episode; {} without the columns."""
    columns: dict[str, Any] = {}
    if PERSISTENT in table.column_names:
        # Every row repeats them, so the first one says all; what another row adds is kept too.
        entries: list[dict[str, Any]] = []
        for cell in table[PERSISTENT].to_pylist():
            entries += [entry for entry in _entries(cell, timed=True) if entry not in entries]
        columns["persistent"] = entries
    if EVENTS in table.column_names:
        cells = ((step, _entries(cell, timed=False)) for step, cell in enumerate(table[EVENTS].to_pylist()))
        columns["events"] = [[step, its] for step, its in cells if its]
    return columns


def language_of(episode: Episode) -> Mapping[str, Any]:
    """The entries that an episode was imported with, as `read_language` gives them; {} where there were none."""
    said: Mapping[str, Any] = episode.provenance.get("imported", {}).get("language", {})
    return said


def language_runs(said: Mapping[str, Any], rate_hz: float) -> dict[str, list[list[Any]]]:
    """What the entries say, as [[first step, text], ...] by "language.<style>"; an event lasts for its step."""
    texts: dict[str, dict[int, list[str]]] = {}
    for entry in said.get("persistent", ()):
        step = max(0, round(float(entry["timestamp"] or 0.0) * rate_hz))
        texts.setdefault(_key(entry), {0: []}).setdefault(step, []).append(_text(entry))
    for step, entries in said.get("events", ()):
        for entry in entries:
            by_step = texts.setdefault(_key(entry), {0: []})
            by_step.setdefault(step, []).append(_text(entry))
            by_step.setdefault(step + 1, [])
    return {
        key: [[step, " | ".join(by_step[step])] for step in sorted(by_step)] for key, by_step in sorted(texts.items())
    }


def language_arrays(said: Mapping[str, Any], length: int) -> dict[str, Any]:
    """The two columns (T,) for parquet, of LeRobot's types."""
    persistent = [_cell(entry) for entry in said.get("persistent", ())]
    events = {int(step): [_cell(entry) for entry in entries] for step, entries in said.get("events", ())}
    return {
        PERSISTENT: _array([persistent] * length, timed=True),
        EVENTS: _array([events.get(step, []) for step in range(length)], timed=False),
    }


def _array(cells: list[list[dict[str, Any]]], *, timed: bool) -> Any:
    # Pyarrow makes JSON of text, and not of Python's values.
    plain, wanted = (pyarrow.list_(_struct(kind, timed=timed)) for kind in (pyarrow.string(), pyarrow.json_()))
    return pyarrow.array(cells, plain).cast(wanted)


def _struct(call: Any, *, timed: bool) -> Any:
    text = pyarrow.string()
    fields = [pyarrow.field("role", text, nullable=False), ("content", text), ("style", text)]
    fields += [pyarrow.field("timestamp", pyarrow.float32(), nullable=False)] if timed else []
    return pyarrow.struct([*fields, ("camera", text), ("tool_calls", pyarrow.list_(call))])


def _cell(entry: Mapping[str, Any]) -> dict[str, Any]:
    calls: Sequence[Any] | None = entry.get("tool_calls")
    told = None if calls is None else [call if isinstance(call, str) else json.dumps(call) for call in calls]
    return {**entry, "tool_calls": told}


def _entries(cell: Any, *, timed: bool) -> list[dict[str, Any]]:
    names = (*_FIELDS, "timestamp") if timed else _FIELDS
    said = [{name: entry.get(name) for name in names} for entry in cell or () if isinstance(entry, dict)]
    return [{**entry, "role": str(entry["role"] or "user")} for entry in said]


def _key(entry: Mapping[str, Any]) -> str:
    return f"language.{entry.get('style') or entry.get('role') or 'text'}"


def _text(entry: Mapping[str, Any]) -> str:
    content = entry.get("content")
    return content if isinstance(content, str) else ""
