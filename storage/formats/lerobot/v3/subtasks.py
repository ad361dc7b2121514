"""Subtasks as data sets tell them: the table of LeRobot 0.4.4 to 0.5.1, and the spans that GR00T N1.6 and N1.7 read
from episodes.jsonl ("sub_tasks": [{"start", "end", "text"}, ...], end exclusive, which may overlap)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from storage.episode import Episode
from storage.errors import CorruptFileError

SUBTASK_COLUMN = "subtask_index"
SPANS = "sub_tasks"
_Runs = Sequence[Sequence[Any]]


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


def has_subtasks(episode: Episode) -> bool:
    """Whether the source of an episode tells subtasks, if only for others of its episodes."""
    imported: Mapping[str, Any] = episode.provenance.get("imported", {})
    return SPANS in imported.get("episode", {}) or bool(_named(imported))


def subtask_spans(episode: Episode) -> list[dict[str, Any]]:
    """The subtasks of an episode, {"start", "end", "text"} in steps: as its source listed them, or from the first
    text over time that is called one. [] where there are none."""
    imported: Mapping[str, Any] = episode.provenance.get("imported", {})
    listed = imported.get("episode", {}).get(SPANS)
    if isinstance(listed, list) and all(_is_span(span, episode.length) for span in listed):
        return [{name: span[name] for name in ("start", "end", "text")} for span in listed]
    runs = next(iter(_named(imported).values()), ())
    starts = [int(start) for start, _ in runs]
    spans = zip(runs, [*starts[1:], episode.length], strict=True) if runs else ()
    return [
        {"start": int(start), "end": min(end, episode.length), "text": str(text)}
        for (start, text), end in spans
        if text and start < episode.length
    ]


def _named(imported: Mapping[str, Any]) -> dict[str, _Runs]:
    """The texts over time that are called subtasks."""
    annotations: Mapping[str, _Runs] = imported.get("annotations", {})
    ends = (".subtask", ".sub_task")
    return {name: runs for name, runs in annotations.items() if name == SUBTASK_COLUMN or name.endswith(ends)}


def subtask_texts(spans: Sequence[Mapping[str, Any]], length: int) -> list[str]:
    """The subtask of each step, "" between them; where two overlap the one that began later."""
    texts = [""] * length
    for span in sorted(spans, key=lambda each: int(each["start"])):
        texts[span["start"] : span["end"]] = [str(span["text"])] * (span["end"] - span["start"])
    return texts


def _is_span(span: Any, length: int) -> bool:
    if not isinstance(span, Mapping) or not isinstance(span.get("text"), str):
        return False
    start, end = span.get("start"), span.get("end")
    return type(start) is int and type(end) is int and 0 <= start < end <= length
