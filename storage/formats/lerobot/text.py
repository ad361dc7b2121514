"""What a LeRobot episode says in words: its instruction, whether its steps are valid, and its other annotations.

All of it is stored as indices into tasks.jsonl, validity too ("valid").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError, UnknownNameError
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.lerobot.parquet_columns import matrix

Runs = list[list[Any]]
"""Text that changes over an episode: [[first step, text], ...]."""

_NOTHING_SAID = -1
_PREFERRED = ("annotation.human.action.task_description", "annotation.human.task_description")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """`instruction` is the first one of the episode; one that changes is kept whole among `annotations`, which maps a
    column to its runs. `valid` (T,) bool, or None when the data set does not say."""

    instruction: str
    valid: NDArray[np.bool_] | None
    annotations: Mapping[str, Runs]


def read_texts(meta: LeRobotMeta, path: Path, table: Any, wanted: str = "") -> Texts:
    """The texts of one episode. `wanted` is the annotation column to take the instruction from, "" chooses."""
    found = [name for name in table.column_names if name.startswith("annotation.")]
    if wanted and wanted not in table.column_names:
        raise UnknownNameError.among("instruction column", wanted, [*found, "task_index"])
    validity = [name for name in found if name.endswith("validity")]
    spoken = [name for name in found if name not in validity]
    column = wanted or _instruction_column(spoken, table)
    runs = {name: _runs(meta, path, table, name) for name in {*spoken, column} if name}
    annotations = {name: its for name, its in runs.items() if name != column or len(its) > 1}
    valid = None
    for name in validity:
        steps = _per_step(_runs(meta, path, table, name), table.num_rows)
        here = np.array([text.strip().lower() == "valid" for text in steps])
        valid = here if valid is None else valid & here
    instruction = runs[column][0][1] if column else _from_episodes(meta, path, table)
    return Texts(instruction=instruction, valid=valid, annotations=dict(sorted(annotations.items())))


def _instruction_column(spoken: Sequence[str], table: Any) -> str:
    likely = [name for name in spoken if "task" in name or "instruction" in name or "description" in name]
    for name in (*_PREFERRED, *likely, "task_index"):
        if name in table.column_names:
            return name
    return ""


def _runs(meta: LeRobotMeta, path: Path, table: Any, name: str) -> Runs:
    indices = matrix(path, table, name)[:, 0]
    if indices.dtype.kind not in "iu":
        raise SchemaError(f"{path}: {name} must hold indices into tasks.jsonl; got {indices.dtype}")
    starts = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist()]
    runs: Runs = []
    for start in starts:
        index = int(indices[start])
        if index == _NOTHING_SAID:
            runs.append([start, ""])
            continue
        if index not in meta.tasks:
            raise SchemaError(f"{path}: {name} points at task {index}, which tasks.jsonl does not have")
        runs.append([start, meta.tasks[index]])
    return runs


def _per_step(runs: Runs, length: int) -> list[str]:
    ends = [start for start, _ in runs[1:]] + [length]
    return [text for (start, text), end in zip(runs, ends, strict=True) for _ in range(end - start)]


def _from_episodes(meta: LeRobotMeta, path: Path, table: Any) -> str:
    """The instruction as episodes.jsonl has it, for data sets without any index column."""
    number = int(matrix(path, table, "episode_index")[0, 0]) if "episode_index" in table.column_names else -1
    for row in meta.episodes:
        if int(row["episode_index"]) == number:
            return next((str(text) for text in row.get("tasks", ()) if str(text).lower() != "valid"), "")
    return ""


def per_step_texts(instruction: str, runs: Runs | None, length: int) -> list[str]:
    """The text of every step: of `runs` where they are given, otherwise the instruction throughout."""
    if not runs:
        return [instruction] * length
    assert runs[0][0] == 0
    assert all(one[0] < other[0] for one, other in pairwise(runs))
    return _per_step([run for run in runs if run[0] < length], length)
