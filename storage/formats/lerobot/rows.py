"""The rows of one episode of a LeRobot data set: which column holds what, and the parquet file."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from storage.episode import Episode
from storage.formats.lerobot.columns import LABELS, RECORDED_TIMESTAMP
from storage.formats.lerobot.text import Runs, per_step_texts
from storage.formats.lerobot.v3.language import language_of
from storage.formats.lerobot.v3.subtasks import SUBTASK_COLUMN, has_subtasks
from storage.formats.lerobot.words import source_words

INSTRUCTION = "annotation.human.action.task_description"
VALIDITY = "annotation.human.validity"
_RESERVED = frozenset(
    {"observation.state", "action", "timestamp", "frame_index", "episode_index", "index", "task_index", *LABELS}
    | {RECORDED_TIMESTAMP, INSTRUCTION, VALIDITY}
)
EXACT = "pyramid."
"""Before the name of the column that holds an array as it is, where trainers see another form of it."""
_OWN_COLUMN = frozenset({"state", "action/ground_truth", "action/predicted", "action/latent", "timestamp", "valid"})


@dataclass
class Tasks:
    """The texts of a data set, numbered as they come."""

    index_of: dict[str, int] = field(default_factory=dict)

    def indices(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """The number of each text; new ones get the next."""
        return np.array([self.index_of.setdefault(text, len(self.index_of)) for text in texts], np.int64)

    def texts(self, indices: NDArray[np.int64]) -> list[str]:
        names = list(self.index_of)
        return [names[index] for index in dict.fromkeys(indices.tolist())]


@dataclass(frozen=True, kw_only=True)
class ColumnLayout:
    """Which array is behind which column of a group of equal episodes. `noted` maps a column that has no standard
    meaning to {"array", "dtype", "shape"}; `filled` are arrays, `filled_columns` columns, that were made up so that
    trainers find what they insist on. `shown` are arrays of which trainers see another form, while the episode's own
    stands beside it, noted. `instruction` is the annotation column of the instruction, "" where task_index
    alone says it; `validity` that of `valid`. `language` and `subtasks` say that the language columns, or the column
    that points into the table of subtasks, are there."""

    noted: Mapping[str, Mapping[str, Any]]
    filled: tuple[str, ...]
    filled_columns: tuple[str, ...]
    annotations: tuple[str, ...]
    instruction: str = INSTRUCTION
    validity: str = VALIDITY
    language: bool = False
    subtasks: bool = False
    shown: tuple[str, ...] = ()


def layout_of(
    episode: Episode, *, predicted_as_action: bool, language: bool = False, shown: Collection[str] = ()
) -> ColumnLayout:
    """The layout for `episode` and all that are like it. With `language` (LeRobot v3.0) the language columns and the
    table of subtasks hold what v2.1 has as annotations."""
    noted: dict[str, dict[str, Any]] = {}
    for name, array in episode.arrays.items():
        if name in shown:
            column = f"{EXACT}{name.replace('/', '.')}"
            noted[column] = {"array": name, "dtype": str(array.dtype), "shape": list(array.shape[1:])}
        elif name not in _OWN_COLUMN:
            column = name.removeprefix("foreign/") if name.startswith("foreign/") else name.replace("/", ".")
            column = f"foreign.{column}" if column in _RESERVED or column.startswith("annotation.") else column
            noted[column] = {"array": name, "dtype": str(array.dtype), "shape": list(array.shape[1:])}
    predicted = "action/predicted" in episode.arrays and "action/ground_truth" not in episode.arrays
    return ColumnLayout(
        noted=noted,
        filled=(*(("action/ground_truth",) if predicted and predicted_as_action else ()), *sorted(shown)),
        filled_columns=tuple(name for name in ("next.reward", "next.done") if name not in noted),
        annotations=tuple(sorted(name for name in other_annotations(episode) if not (language and _in_v3(name)))),
        instruction=_instruction_column(episode),
        language=language and bool(language_of(episode)),
        subtasks=language and has_subtasks(episode) and not language_of(episode),
        shown=tuple(sorted(shown)),
    )


def _in_v3(name: str) -> bool:
    return name == SUBTASK_COLUMN or name.startswith("language.")


def _instruction_column(episode: Episode) -> str:
    """The source's own column where it had one, none where its modality.json points at task_index, otherwise ours."""
    words = source_words(episode)
    column = str(words.get("instruction", ""))
    if column.startswith("annotation."):
        return column
    return "" if column == "task_index" and words.get("modality", {}).get("annotation") else INSTRUCTION


def annotation_runs(episode: Episode) -> Mapping[str, Runs]:
    """Annotations that the episode was imported with: column -> [[first step, text], ...]."""
    runs: Mapping[str, Runs] = episode.provenance.get("imported", {}).get("annotations", {})
    return runs


def other_annotations(episode: Episode) -> dict[str, Runs]:
    """Annotations beside the instruction and the validity."""
    skip = (INSTRUCTION, "task_index", VALIDITY, source_words(episode).get("instruction"))
    return {name: runs for name, runs in annotation_runs(episode).items() if name not in skip}


def columns_of(
    episode: Episode,
    layout: ColumnLayout,
    tasks: Tasks,
    numbers: tuple[int, int],
    shown: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> dict[str, NDArray[Any]]:
    """Every column of an episode. `numbers` are its episode_index and the index of its first row; `shown` are the
    arrays that stand in for its own where trainers look."""
    seen = {**episode.arrays, **shown}
    length, steps = episode.length, np.arange(episode.length)
    columns: dict[str, NDArray[Any]] = {}
    for column, name in {"observation.state": "state", "action": "action/ground_truth", **LABELS}.items():
        source = name if name in episode.arrays or name not in layout.filled else "action/predicted"
        if source in seen:
            columns[column] = seen[source]
    columns["timestamp"] = (steps / episode.rate_hz).astype(np.float32)
    if "timestamp" in episode.arrays:
        columns[RECORDED_TIMESTAMP] = episode.arrays["timestamp"]
    spoken = tasks.indices(per_step_texts(episode.instruction, _instruction_runs(episode), length))
    columns |= {name: spoken for name in (layout.instruction, "task_index") if name}
    for name, runs in other_annotations(episode).items():
        if name not in layout.annotations:
            continue
        columns[_annotation(name)] = tasks.indices(per_step_texts("", runs, length))
    if "valid" in episode.arrays:
        columns[layout.validity] = tasks.indices("valid" if step else "invalid" for step in episode.arrays["valid"])
    columns |= {"frame_index": steps, "episode_index": np.full(length, numbers[0]), "index": numbers[1] + steps}
    for column, note in layout.noted.items():
        columns[column] = episode.arrays[note["array"]]
    made_up = {"next.reward": np.zeros(length, np.float32), "next.done": steps == length - 1}
    return columns | {name: made_up[name] for name in layout.filled_columns}


def _annotation(name: str) -> str:
    return name if name.startswith("annotation.") else f"annotation.{name}"


def _instruction_runs(episode: Episode) -> Runs | None:
    """The instruction over time, if it changes and has not been replaced since."""
    said, words = annotation_runs(episode), source_words(episode)
    runs = said.get(str(words.get("instruction"))) or said.get(INSTRUCTION) or said.get("task_index")
    return runs if runs and runs[0][1] == episode.instruction else None


def write_rows(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write the columns, (T,) or (T, D), as one parquet file with lists of fixed size."""
    arrays = {name: arrow_column(values) for name, values in columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def arrow_column(values: NDArray[Any]) -> Any:
    """A column (T,) or (T, D) for parquet: plain values, or lists of fixed size."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    if flat.shape[1] == 1:
        return pyarrow.array(flat[:, 0])
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat.reshape(-1)), flat.shape[1])
