"""Which windows there are: a table of episodes, with how many windows each of them has.

Windows are numbered 0..N-1, source by source, episode by episode, step by step. Nothing is listed: a number is found by
bisection in the table of episodes, so that a billion windows cost what their episodes cost.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.window_layout import WindowRecipe, recipe_of


class Place(NamedTuple):
    """Where a window is: its unit, the row of its episode in the source's index, the episode's rows in the shard, the
    first step that may be a present step, whether steps in between may not, and which of those that may this one is."""

    unit: int
    row: int
    start: int
    length: int
    first: int
    gaps: bool
    nth: int


@dataclass(frozen=True, kw_only=True)
class WindowTable:
    """One row for each episode that has windows, as columns.

    `unit` is its position in `units`, `row` its row in the index of its source, `first` the first step that may be a
    present step, `gaps` whether steps in between may not, `ends` the number of the window behind its last.
    """

    units: tuple[tuple[int, str], ...]
    recipe_of_unit: tuple[WindowRecipe, ...]
    unit: NDArray[np.int64]
    row: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    gaps: NDArray[np.bool_]
    ends: NDArray[np.int64]

    @cached_property
    def begins(self) -> NDArray[np.int64]:
        """Of each row: the number of its first window."""
        return np.concatenate([np.zeros(1, dtype=np.int64), self.ends[:-1]])

    def places(self, numbers: Sequence[int]) -> list[Place]:
        """Where the windows `numbers` are; raises IndexError."""
        if not len(numbers):
            return []
        if min(numbers) < 0 or max(numbers) >= self.ends[-1]:
            raise IndexError(f"windows are numbered 0..{self.ends[-1] - 1}; got {min(numbers)}..{max(numbers)}")
        windows = np.asarray(numbers, dtype=np.int64)
        rows = np.searchsorted(self.ends, windows, side="right")
        columns = (self.unit, self.row, self.start, self.length, self.first, self.gaps)
        lists = [column[rows].tolist() for column in columns]
        return [Place(*values) for values in zip(*lists, (windows - self.begins[rows]).tolist(), strict=True)]

    def source_ends(self) -> list[int]:
        """Of each source: the number of the window behind its last."""
        source_of_row = np.array([source for source, _ in self.units], dtype=np.int64)[self.unit]
        return [int(self.ends[np.flatnonzero(source_of_row == source)[-1]]) for source in np.unique(source_of_row)]

    def fingerprint(self) -> str:
        """Equal tables have equal ones: the same numbers then mean the same windows."""
        digest = hashlib.sha256("\n".join(f"{source} {unit_id}" for source, unit_id in self.units).encode())
        for column in (self.unit, self.start, self.first, self.ends):
            digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        return digest.hexdigest()[:32]


def window_table(sources: Sequence[Source], config: WindowConfig) -> WindowTable:
    """The windows of `sources`; raises ConfigError where one has none."""
    parts = [_rows_of(number, source, config) for number, source in enumerate(sources)]
    units_before = np.cumsum([0, *(len(part.units) for part in parts)])
    windows_before = np.cumsum([0, *(part.ends[-1] for part in parts)])
    shifted = {
        "unit": [part.unit + before for part, before in zip(parts, units_before[:-1], strict=True)],
        "ends": [part.ends + before for part, before in zip(parts, windows_before[:-1], strict=True)],
    }
    same = ("row", "start", "length", "first", "gaps")
    columns = shifted | {name: [getattr(part, name) for part in parts] for name in same}
    return WindowTable(
        units=tuple(unit for part in parts for unit in part.units),
        recipe_of_unit=tuple(recipe for part in parts for recipe in part.recipe_of_unit),
        **{name: np.concatenate(column) for name, column in columns.items()},
    )


def _rows_of(number: int, source: Source, config: WindowConfig) -> WindowTable:
    """The table of one source alone."""
    dataset = source.dataset
    chosen = _chosen_rows(source, config)
    units: list[tuple[int, str]] = []
    recipes: list[WindowRecipe] = []
    known: dict[tuple[int | None, ...], WindowRecipe | None] = {}
    rows: list[NDArray[np.int64]] = []
    for unit_id, (begin, end) in dataset.index.rows_of_unit.items():
        layouts = dataset.layouts_of(unit_id)
        if layouts not in known:
            known[layouts] = recipe_of(number, source, config, unit_id)
        recipe, mine = known[layouts], begin + np.flatnonzero(chosen[begin:end])
        if recipe is not None and len(mine):
            units.append((number, unit_id))
            recipes.append(recipe)
            rows.append(mine)
    if not rows:
        raise _no_windows(source, f"has {source.action or 'a step'} in the layers and embodiments asked for")
    unit = np.repeat(np.arange(len(units)), [len(mine) for mine in rows])
    return _measured(
        source,
        WindowTable(
            units=tuple(units), recipe_of_unit=tuple(recipes), unit=unit, **_columns(dataset, np.concatenate(rows))
        ),
    )


def _columns(dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    index = dataset.index
    zeros = np.zeros(len(rows), dtype=np.int64)
    columns = {"row": rows, "start": index.numbers("start")[rows], "length": index.numbers("length")[rows]}
    return {**columns, "first": zeros, "ends": zeros, "gaps": dataset.invalid_steps()[rows] > 0}


def _measured(source: Source, table: WindowTable) -> WindowTable:
    """`table` with `first`, `gaps` and `ends` filled in, without the episodes that have no window."""
    before = np.array([recipe.before for recipe in table.recipe_of_unit])[table.unit]
    after = np.array([recipe.after for recipe in table.recipe_of_unit])[table.unit]
    counts = np.maximum(table.length - before - after, 0)
    gaps = table.gaps & np.array([bool(recipe.masks) for recipe in table.recipe_of_unit])[table.unit]
    for unit in np.unique(table.unit[gaps]):
        mine = (table.unit == unit) & (counts > 0)
        shard = source.dataset.shard(table.units[unit][1])
        valid = np.logical_and.reduce([shard.array(name) for name in table.recipe_of_unit[unit].masks])
        valid_before = np.concatenate([[0], np.cumsum(valid)])
        begin = table.start[mine] + before[mine]
        counts[mine] = valid_before[begin + counts[mine]] - valid_before[begin]
    keep = counts > 0
    if not keep.any():
        raise _no_windows(source, "is long enough for the offsets and has a valid step")
    return WindowTable(
        units=table.units,
        recipe_of_unit=table.recipe_of_unit,
        unit=table.unit[keep],
        row=table.row[keep],
        start=table.start[keep],
        length=table.length[keep],
        first=before[keep],
        gaps=gaps[keep],
        ends=np.cumsum(counts[keep]),
    )


def _no_windows(source: Source, lacking: str) -> ConfigError:
    return ConfigError(f"source {source.title!r} has no window: none of its {len(source.dataset)} episodes {lacking}")


def _chosen_rows(source: Source, config: WindowConfig) -> NDArray[np.bool_]:
    """Which rows of the index a source is about: those of its layers and embodiments that labellers did not drop."""
    index = source.dataset.index
    keep = source.dataset.selected_rows()
    for column, wanted in (("layer", source.layers), ("embodiment", source.embodiments)):
        if wanted:
            names = index.texts(column)
            keep &= np.isin(index.codes(column), [code for code, name in enumerate(names) if name in wanted])
    if source.episodes is not None:
        chosen = [row for name in source.episodes if (row := index.row_of_episode.get(name)) is not None]
        keep &= np.isin(np.arange(len(index)), chosen)
    needed = {source.action, *config.fields}
    for label, labelled in source.dataset.label_indices.items():
        if any(needed & set(layout.get("arrays", ())) for layout in labelled.layouts):
            keep[source.dataset.rows_of_label(label)[labelled.numbers("unlabelled")]] = False
    return keep
