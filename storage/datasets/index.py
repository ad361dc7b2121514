"""The index: one row an episode, compacted from the manifests, so that a data set opens without reading them.

    index/CURRENT                    the name of the table that counts
    index/episodes-<content>.parquet  never changed; `CURRENT` moves to the next one in one step

The manifests stay the truth. What was committed since the index was written is read from them and appended; units whose
manifest is gone are left out. Label sinks have an index of their own, in `labels/<name>/index`.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from storage.atomic_files import write_whole
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.unit_paths import Sink
from storage.errors import CorruptFileError, SchemaVersionError
from storage.ids import content_id
from storage.seals import KEY, PLACEHOLDER, check_seal, sealed
from storage.shards.layout import check_layout

INDEX_VERSION = 1
_REPEATED = ("unit_id", "layer", "embodiment", "instruction", "original_instruction")
_SCHEMA = pyarrow.schema(
    [
        ("episode_id", pyarrow.string()),
        ("parent_id", pyarrow.string()),
        *((name, pyarrow.dictionary(pyarrow.int32(), pyarrow.string())) for name in _REPEATED),
        ("rate_hz", pyarrow.float64()),
        ("place", pyarrow.int32()),
        ("start", pyarrow.int64()),
        ("length", pyarrow.int64()),
        ("invalid_steps", pyarrow.int64()),
        ("unlabelled", pyarrow.bool_()),
    ]
)
_META = b"data_pyramid"
_TABLE = re.compile(r"episodes-[0-9a-f]+\.parquet")


@dataclass(frozen=True)
class Index:
    """The episodes of one sink, ordered by unit id and row. `layouts` are the different shard layouts there are,
    `layout_of_unit` says which of them a unit has (None for a unit that kept nothing)."""

    table: pyarrow.Table
    layouts: tuple[Mapping[str, Any], ...]
    layout_of_unit: Mapping[str, int | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Ids of the units that have episodes, in order."""
        return tuple(self.texts("unit_id"))

    @cached_property
    def unit_of_row(self) -> NDArray[np.int32]:
        """Row -> position in `units`."""
        return self.codes("unit_id")

    def codes(self, name: str) -> NDArray[np.int32]:
        """A column of repeated texts as positions in its dictionary."""
        return _as_numpy(self.table[name].combine_chunks().indices)

    def texts(self, name: str) -> list[str]:
        """The dictionary of a column of repeated texts."""
        texts: list[str] = self.table[name].combine_chunks().dictionary.to_pylist()
        return texts

    def numbers(self, name: str) -> NDArray[Any]:
        """A column of numbers or of truth values."""
        return _as_numpy(self.table[name].combine_chunks())

    @cached_property
    def rows_of_unit(self) -> Mapping[str, tuple[int, int]]:
        """Unit id -> (first row, row behind the last)."""
        ends = np.cumsum(np.bincount(self.unit_of_row, minlength=len(self.units))).tolist()
        return dict(zip(self.units, zip([0, *ends[:-1]], ends, strict=True), strict=True)) if ends else {}

    @cached_property
    def row_of_episode(self) -> Mapping[str, int]:
        """Episode id -> row."""
        return {episode_id: row for row, episode_id in enumerate(self.table["episode_id"].to_pylist())}

    def layout(self, unit_id: str) -> Mapping[str, Any]:
        """The layout of the shard of `unit_id`."""
        number = self.layout_of_unit[unit_id]
        return {} if number is None else self.layouts[number]


def load_index(sink: Sink) -> Index:
    """The index of everything that is committed in `sink`."""
    stored = read_index(sink)
    committed = sink.committed()
    known = set(stored.layout_of_unit) if stored else set()
    if stored and known == committed:
        return stored
    fresh = index_of([read_manifest(sink.manifest(unit_id)) for unit_id in sorted(committed - known)])
    return _join(_without(stored, known - committed), fresh) if stored else fresh


def index_of(manifests: Sequence[Manifest]) -> Index:
    """The index of `manifests`, which are ordered by unit id."""
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    layouts: dict[str, int] = {}
    layout_of_unit: dict[str, int | None] = {}
    for manifest in manifests:
        text = json.dumps(manifest.shard.layout, sort_keys=True) if manifest.shard else None
        layout_of_unit[manifest.unit_id] = layouts.setdefault(text, len(layouts)) if text else None
        dropped = {drop.episode_id for drop in manifest.dropped}
        for place, record in enumerate(manifest.episodes):
            own = {"unit_id": manifest.unit_id, "place": place, "unlabelled": record["episode_id"] in dropped}
            for name, column in columns.items():
                column.append(own[name] if name in own else record[name])
    table = pyarrow.table(columns, schema=_SCHEMA)
    return Index(table, tuple(json.loads(layout) for layout in layouts), layout_of_unit)


def write_index(sink: Sink, index: Index) -> Path:
    """Make `index` the current one of `sink`. Who reads meanwhile sees the old one or this one."""
    about = {"version": INDEX_VERSION, "layouts": index.layouts, "layout_of_unit": index.layout_of_unit}
    table = index.table.replace_schema_metadata({_META: json.dumps(about, sort_keys=True), KEY: PLACEHOLDER})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    content = sealed(buffer.getvalue(), last=True)
    path = _folder(sink) / f"episodes-{content_id(content.hex())[:16]}.parquet"
    write_whole(path, content)
    write_whole(_folder(sink) / "CURRENT", f"{path.name}\n".encode())
    return path


def current_index(sink: Sink) -> Path | None:
    """The table that `CURRENT` names, or None; raises CorruptFileError where it names what cannot be one."""
    pointer = _folder(sink) / "CURRENT"
    try:
        name = pointer.read_bytes().decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    if not _TABLE.fullmatch(name):
        raise CorruptFileError(f"{pointer} names {name!r}, which is no index; remove the folder {_folder(sink)}")
    return _folder(sink) / name


def read_index(sink: Sink, *, checked: bool = False) -> Index | None:
    """The stored index, or None where there is none; with `checked` its checksum must match. Raises CorruptFileError
    or SchemaVersionError."""
    path = current_index(sink)
    if path is None:
        return None
    advice = f"remove the folder {path.parent}, it is made again from the manifests"
    try:
        # Not `read_table`: it imports pandas, which takes longer than reading a million rows.
        content = path.read_bytes() if checked else b""
        with pyarrow.parquet.ParquetFile(
            io.BytesIO(content) if checked else path, read_dictionary=[*_REPEATED]
        ) as file:
            table = file.read(use_threads=False)
        if checked and table.schema.metadata.keys() != {_META}:  # indices of older programs have no seal
            check_seal(content, path, last=True)
        about = json.loads(table.schema.metadata[_META])
        if (came := about.get("version")) != INDEX_VERSION:
            raise SchemaVersionError(f"{path}: expected an index of version {INDEX_VERSION}, got {came}; {advice}")
        plain = table.replace_schema_metadata(None).cast(_SCHEMA)
        index = Index(plain, tuple(about["layouts"]), dict(about["layout_of_unit"]))
        _check_layouts(index)
        return index
    except (CorruptFileError, SchemaVersionError):
        raise
    except (OSError, pyarrow.ArrowException, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a readable index ({error}); {advice}") from error


def _check_layouts(index: Index) -> None:
    """Raise ValueError unless every unit with episodes has a layout that can be used."""
    for layout in index.layouts:
        check_layout(layout)
    known = range(len(index.layouts))
    if not all(number is None or (type(number) is int and number in known) for number in index.layout_of_unit.values()):
        raise ValueError(f"it names layouts that are not among its {len(known)}")
    rows = index.rows_of_unit.items()
    lost = [unit for unit, (first, end) in rows if end > first and index.layout_of_unit.get(unit) is None]
    if lost:
        raise ValueError(f"it has episodes of units without a layout: {', '.join(lost[:4])}")


def old_indices(sink: Sink) -> list[Path]:
    """Tables that `CURRENT` does not name."""
    return sorted(path for path in _folder(sink).glob("episodes-*.parquet") if path != current_index(sink))


def _as_numpy(column: pyarrow.Array) -> NDArray[Any]:
    """A column without nulls, mapped. (pyarrow's own way imports pandas, which takes longer than a data set to open.)

    Types are those of `_SCHEMA`: integers, float64 and truth values.
    """
    content, begin, end = column.buffers()[1] or b"", column.offset, column.offset + len(column)
    if column.type == pyarrow.bool_():
        return np.unpackbits(np.frombuffer(content, dtype=np.uint8), bitorder="little")[begin:end].astype(bool)
    dtype = np.dtype("float64" if column.type == pyarrow.float64() else str(column.type))
    return np.frombuffer(content, dtype=dtype)[begin:end]


def _folder(sink: Sink) -> Path:
    return sink.index


def _without(index: Index, gone: set[str]) -> Index:
    if not gone:
        return index
    keep = pyarrow.compute.invert(
        pyarrow.compute.is_in(index.table["unit_id"].cast(pyarrow.string()), pyarrow.array(sorted(gone)))
    )
    rest = {unit_id: layout for unit_id, layout in index.layout_of_unit.items() if unit_id not in gone}
    return Index(index.table.filter(keep), index.layouts, rest)


def _join(one: Index, other: Index) -> Index:
    """Both together, in order of unit ids."""
    layouts = list(one.layouts)
    numbers: list[int | None] = []
    for layout in other.layouts:
        if layout not in layouts:
            layouts.append(layout)
        numbers.append(layouts.index(layout))
    renumbered = {
        unit_id: None if number is None else numbers[number] for unit_id, number in other.layout_of_unit.items()
    }
    types = {name: pyarrow.string() if name in _REPEATED else _SCHEMA.field(name).type for name in _SCHEMA.names}
    plain = pyarrow.schema(list(types.items()))
    table = pyarrow.concat_tables([one.table.cast(plain), other.table.cast(plain)])
    table = table.sort_by([("unit_id", "ascending"), ("place", "ascending")])
    return Index(table.cast(_SCHEMA), tuple(layouts), {**one.layout_of_unit, **renumbered})
