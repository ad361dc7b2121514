"""What a LeRobot episode says in words: its instruction, whether its steps are valid, and its other annotations.

Most of it is stored as indices into the table of tasks, validity too ("valid"); some data sets have text in columns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError, UnknownNameError
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.lerobot.parquet_columns import is_numeric, is_text, matrix
from storage.formats.lerobot.v3.subtasks import read_subtasks
from storage.formats.mapping.usual_names import usual_instruction

Runs = list[list[Any]]
"""Text that changes over an episode: [[first step, text], ...]."""

_NOTHING_SAID = -1
_PREFERRED = ("annotation.human.action.task_description", "annotation.human.task_description")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """`instruction` is the first one of the episode, of `column`; one that changes is kept whole among `annotations`,
    which maps a column to its runs. `valid` (T,) bool, or None when the data set does not say."""

    instruction: str
    valid: NDArray[np.bool_] | None
    annotations: Mapping[str, Runs]
    column: str = ""


def read_texts(meta: LeRobotMeta, path: Path, table: Any, wanted: str = "") -> Texts:
    """The texts of one episode. `wanted` is the column to take the instruction from, "" chooses: an annotation that
    speaks of the task, task_index, or a column of text with a usual name; the first of these that says anything."""
    columns = text_columns({field.name: is_numeric(field.type) for field in table.schema}, _texts_in(table))
    if wanted and wanted not in table.column_names:
        raise UnknownNameError.among("instruction column", wanted, [*columns, "task_index"])
    validity = [name for name in columns if name.endswith("validity")]
    spoken = [name for name in columns if name not in validity]
    candidates = [wanted] if wanted else instruction_columns(spoken, table.column_names)
    runs = {name: _runs(meta, path, table, name) for name in dict.fromkeys([*spoken, *candidates])}
    column = next((name for name in candidates if any(text for _, text in runs[name])), next(iter(candidates), ""))
    # task_index usually repeats the instruction; what it says otherwise is kept.
    kept = {name for name in runs if name in spoken or (len(runs[name]) > 1 and runs[name] != runs[column])} - {column}
    kept |= {column} if column and len(runs[column]) > 1 else set()
    annotations = {name: runs[name] for name in kept}
    valid = None
    for name in validity:
        steps = _per_step(_runs(meta, path, table, name), table.num_rows)
        here = np.array([text.strip().lower() == "valid" for text in steps])
        valid = here if valid is None else valid & here
    instruction = (runs[column][0][1] if column else "") or ("" if column else _from_episodes(meta, path, table))
    return Texts(instruction=instruction, valid=valid, annotations=dict(sorted(annotations.items())), column=column)


def text_columns(numeric: Mapping[str, bool], texts: Collection[str]) -> list[str]:
    """The columns that say something: annotations (text, or indices into the tasks), and text of a usual name."""
    return [
        name
        for name in numeric
        if (name.startswith("annotation.") and (numeric[name] or name in texts))
        or (name in texts and usual_instruction([name]))
        or (name.endswith("subtask_index") and numeric[name])
    ]


def instruction_columns(spoken: Sequence[str], names: Collection[str]) -> list[str]:
    """Columns that may hold the instruction, the likeliest first."""
    annotated = [name for name in spoken if name.startswith("annotation.")]
    likely = [name for name in annotated if "task" in name or "instruction" in name or "description" in name]
    usual = [name for name in spoken if not name.startswith("annotation.") and not name.endswith("subtask_index")]
    ordered = [*(name for name in _PREFERRED if name in spoken), *likely, "task_index", *usual]
    return [name for name in dict.fromkeys(ordered) if name in names]


def _texts_in(table: Any) -> set[str]:
    return {field.name for field in table.schema if is_text(field.type)}


def _runs(meta: LeRobotMeta, path: Path, table: Any, name: str) -> Runs:
    """The text of a column where it changes; indices point into the tasks, or into the subtasks of LeRobot 0.4 and
    0.5."""
    if is_text(table.schema.field(name).type):
        texts = [str(text) if text is not None else "" for text in table.column(name).to_pylist()]
        return [[row, text] for row, text in enumerate(texts) if row == 0 or text != texts[row - 1]]
    indices = matrix(path, table, name)[:, 0]
    if indices.dtype.kind not in "iu":
        raise SchemaError(f"{path}: {name} must hold indices into the tasks or text; got {indices.dtype}")
    known = read_subtasks(meta.root) if name.endswith("subtask_index") else meta.tasks
    starts = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist()]
    runs: Runs = []
    for start in starts:
        index = int(indices[start])
        if index == _NOTHING_SAID:
            runs.append([start, ""])
            continue
        if index not in known:
            raise SchemaError(f"{path}: {name} points at task {index}, which the table of tasks does not have")
        runs.append([start, known[index]])
    return runs


def _per_step(runs: Runs, length: int) -> list[str]:
    ends = [start for start, _ in runs[1:]] + [length]
    return [text for (start, text), end in zip(runs, ends, strict=True) for _ in range(end - start)]


def _from_episodes(meta: LeRobotMeta, path: Path, table: Any) -> str:
    """The instruction as episodes.jsonl has it, for data sets without any index column."""
    number = int(matrix(path, table, "episode_index")[0, 0]) if "episode_index" in table.column_names else -1
    row = meta.row_of.get(number, {})
    return next((str(text) for text in row.get("tasks") or () if str(text).lower() != "valid"), "")


def per_step_texts(instruction: str, runs: Runs | None, length: int) -> list[str]:
    """The text of every step: of `runs` where they are given, otherwise the instruction throughout."""
    if not runs:
        return [instruction] * length
    assert runs[0][0] == 0
    assert all(one[0] < other[0] for one, other in pairwise(runs))
    return _per_step([run for run in runs if run[0] < length], length)
