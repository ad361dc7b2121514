"""A data set: a folder of committed units. What is opened is a snapshot; `Dataset.open` again sees what came since."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.atomic_files import is_temporary, read_json, sealed_json_bytes, write_once, write_whole
from storage.datasets.commit import check_committed
from storage.datasets.index import Index, load_index, write_index
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.sidecars import label_sinks, labelled_rows
from storage.datasets.unit_paths import STAGING, Sink, sinks_of
from storage.embodiment import Embodiment, register
from storage.episode import Episode
from storage.errors import (
    AlreadyWrittenError,
    ConfigError,
    CorruptFileError,
    MissingFileError,
    NotADatasetError,
    SchemaVersionError,
    UnknownNameError,
)
from storage.locks import holding
from storage.shards.reader import Shard
from storage.shards.sidecar import Sidecar
from storage.shards.streams import disk_errors
from storage.verdicts.selection import check_selection, read_selection

SCHEMA_VERSION = 1
FILE = "dataset.json"


class Dataset:
    """The data set in `root`, opened for reading.

    `labels` names the sidecars that are joined: their arrays then appear in every episode that has them. `selection`
    names the episodes that are read ("": all, see `storage.verdicts.selection`); its own labels are joined too. With
    `checked` every shard is compared with the checksums of its manifest when it is opened (CorruptFileError). Raises
    NotADatasetError, SchemaVersionError, UnknownNameError.
    """

    def __init__(self, root: Path, *, labels: tuple[str, ...] = (), selection: str = "", checked: bool = False) -> None:
        self.root, self.checked = Path(root), checked
        chosen = read_selection(self.root, selection) if selection and (self.root / FILE).exists() else None
        self.labels = tuple(dict.fromkeys((*labels, *(chosen.policy.labels if chosen else ()))))
        about = read_about(self.root)
        self.name: str = about["name"]
        self.embodiments = {name: Embodiment.from_json(record) for name, record in about["embodiments"].items()}
        for embodiment in self.embodiments.values():
            register(embodiment)
        self.sink = Sink(self.root)
        self.index: Index = load_index(self.sink)
        self.label_sinks = label_sinks(self.root, self.labels)
        self.label_indices = {sink.name.removeprefix("labels/"): load_index(sink) for sink in self.label_sinks}
        _refuse_twice(self.label_indices)
        self._rows_of_label = {
            name: labelled_rows(self.index, index, name) for name, index in self.label_indices.items()
        }
        self.selected = check_selection(chosen, self.index.row_of_episode, self.root) if chosen else None
        self._open: OrderedDict[str, Shard] = OrderedDict()

    @classmethod
    def create(cls, root: Path, *, name: str) -> "Dataset":
        """A new, empty data set in `root`, which must be missing or empty; raises AlreadyWrittenError or
        NotADatasetError for a folder that holds something."""
        root = Path(root)
        if (root / FILE).exists():
            raise AlreadyWrittenError(f"{root} holds a data set already; choose another folder, or resume it")
        if root.exists() and (not root.is_dir() or not all(is_temporary(path) for path in root.iterdir())):
            raise NotADatasetError(f"{root} is not empty and not a data set; choose a new or an empty folder")
        about = {"schema_version": SCHEMA_VERSION, "name": name, "created_by": _created_by(), "embodiments": {}}
        with disk_errors(root):
            write_once(root / FILE, sealed_json_bytes(about))
        return cls(root)

    @classmethod
    def open(cls, root: Path, labels: tuple[str, ...] = (), *, selection: str = "", checked: bool = False) -> "Dataset":
        """The data set in `root` with the sidecars `labels` joined to it, or the part of it that is selected."""
        return cls(root, labels=labels, selection=selection, checked=checked)

    @classmethod
    def create_or_open(cls, root: Path, *, name: str) -> "Dataset":
        """The data set in `root`, made now if nothing is there."""
        try:
            return cls.create(root, name=name)
        except AlreadyWrittenError:
            return cls.open(root)

    def declare(self, *embodiments: Embodiment) -> None:
        """Write the declarations of embodiments into the data set; several drivers may do so at once."""
        with disk_errors(self.root / FILE), holding(self.root / STAGING / "declare.lock"):
            about = read_about(self.root)
            for embodiment in embodiments:
                about["embodiments"].setdefault(register(embodiment).name, asdict(embodiment))
            self.embodiments = {name: Embodiment.from_json(record) for name, record in about["embodiments"].items()}
            write_whole(self.root / FILE, sealed_json_bytes(about))

    def compact(self) -> None:
        """Write the index of everything that is committed now, labels included. For drivers only."""
        with disk_errors(self.root / "index"):
            for sink in sinks_of(self.root):
                write_index(sink, load_index(sink))
        self.index = load_index(self.sink)

    def __len__(self) -> int:
        """Number of episodes, or of those that are selected."""
        return len(self.index) if self.selected is None else len(self.selected)

    @property
    def steps(self) -> int:
        """Number of steps of all episodes, or of those that are selected."""
        return int(self.index.numbers("length")[self.selected_rows()].sum())

    def selected_rows(self) -> NDArray[np.bool_]:
        """Of each row of the index: whether its episode is selected; all are where the data set is read whole."""
        if self.selected is None:
            return np.ones(len(self.index), dtype=bool)
        return np.array([name in self.selected for name in self.index.row_of_episode], dtype=bool)

    def units(self) -> tuple[str, ...]:
        """Ids of the committed units that have episodes, in order."""
        return self.index.units

    def manifests(self) -> Iterator[Manifest]:
        """The manifests of all committed units, by unit id."""
        for unit_id in sorted(self.index.layout_of_unit):
            yield read_manifest(self.sink.manifest(unit_id))

    def episodes(self) -> Iterator[Episode]:
        """Every (selected) episode, unit by unit in row order; frames stay on the disk until they are looked at."""
        for unit_id in self.units():
            shard = self.shard(unit_id)
            for place, record in enumerate(shard.episodes):
                if self.selected is None or record["episode_id"] in self.selected:
                    yield shard.episode(place)

    def episode(self, episode_id: str) -> Episode:
        """The episode called `episode_id`; raises UnknownNameError."""
        try:
            row = self.index.row_of_episode[episode_id]
        except KeyError:
            raise UnknownNameError.among(f"episode of {self.root}", episode_id, self.index.row_of_episode) from None
        unit_id = self.index.units[self.index.unit_of_row[row]]
        return self.shard(unit_id).episode(int(self.index.numbers("place")[row]))

    def shard(self, unit_id: str) -> Shard:
        """The shard of one unit with its sidecars; the last few are kept open."""
        if unit_id in self._open:
            self._open.move_to_end(unit_id)
            return self._open[unit_id]
        self._open[unit_id] = shard = self.open_shard(unit_id)
        if len(self._open) > 8:
            self._open.popitem(last=False)
        return shard

    def open_shard(self, unit_id: str) -> Shard:
        """The shard of one unit with its sidecars, opened anew."""
        if unit_id not in self.index.layout_of_unit:
            raise UnknownNameError.among(f"unit of {self.root}", unit_id, self.index.units)
        if self.checked:
            for sink in (self.sink, *self.label_sinks):
                check_committed(sink, unit_id)
        return Shard(self.sink.shard(unit_id), sidecars=tuple(self._sidecars(unit_id)))

    def fields(self, unit_id: str) -> frozenset[str]:
        """Names of the arrays and cameras ("video/<camera>") that the episodes of a unit have, labels included."""
        cameras = self.index.layout(unit_id).get("cameras", ())
        return frozenset(self.arrays(unit_id)) | {f"video/{camera}" for camera in cameras}

    def arrays(self, unit_id: str) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The arrays that the episodes of a unit have, labels included: name -> shape of one row, dtype."""
        indices = [index for index in (self.index, *self.label_indices.values()) if unit_id in index.rows_of_unit]
        return {
            name: (tuple(about["row_shape"]), np.dtype(about["dtype"]))
            for index in indices
            for name, about in index.layout(unit_id).get("arrays", {}).items()
        }

    def layouts_of(self, unit_id: str) -> tuple[int | None, ...]:
        """Numbers of the layouts of a unit and of its labels: units with equal ones hold the same kind of thing."""
        return tuple(index.layout_of_unit.get(unit_id) for index in (self.index, *self.label_indices.values()))

    def rows_of_label(self, name: str) -> NDArray[np.int64]:
        """Of each row of the index of label `name`: the row of the same episode in `index`."""
        return self._rows_of_label[name]

    def invalid_steps(self) -> NDArray[np.int64]:
        """Of each row of the index: how many steps are invalid by a mask of the shard or of a label (at most)."""
        total: NDArray[np.int64] = self.index.numbers("invalid_steps").astype(np.int64)
        for name, index in self.label_indices.items():
            total[self._rows_of_label[name]] += index.numbers("invalid_steps")
        return total

    def instructions(self) -> NDArray[np.object_]:
        """The instruction of each row of the index, (E,) of texts, as labels have changed it."""
        own = np.array([*self.index.texts("instruction"), ""], dtype=object)[self.index.codes("instruction")]
        texts = own.copy()
        for name, index in self.label_indices.items():
            theirs = np.array([*index.texts("instruction"), ""], dtype=object)[index.codes("instruction")]
            told = (theirs != "") & ~index.numbers("unlabelled") & (theirs != own[self._rows_of_label[name]])
            texts[self._rows_of_label[name][told]] = theirs[told]
        return texts

    def _sidecars(self, unit_id: str) -> Iterator[Sidecar]:
        for sink, index in zip(self.label_sinks, self.label_indices.values(), strict=True):
            if unit_id in index.rows_of_unit:
                first, behind = index.rows_of_unit[unit_id]
                rows = index.table.slice(first, behind - first)
                unlabelled = rows.filter(rows["unlabelled"])["episode_id"].to_pylist()
                yield Sidecar(sink.shard(unit_id), frozenset(unlabelled))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _refuse_twice(labels: Mapping[str, Index]) -> None:
    seen: dict[str, str] = {}
    for label, index in labels.items():
        for name in {name for layout in index.layouts for name in layout.get("arrays", ())}:
            if name in seen:
                raise ConfigError(f"labels {seen[name]!r} and {label!r} both hold {name!r}; join one of them only")
            seen[name] = label


def read_about(root: Path) -> Mapping[str, Any]:
    """What dataset.json of `root` says; raises NotADatasetError or SchemaVersionError."""
    try:
        about = read_json(root / FILE)
    except MissingFileError:
        what = "is not a data set: it has no dataset.json" if root.is_dir() else "is not there"
        raise NotADatasetError(f"{root} {what}; a data set is a folder that `pyramid run` or `import` wrote") from None
    except CorruptFileError as error:
        raise NotADatasetError(f"{root} is not a data set: {error}") from error
    if strange := about.keys() - {"schema_version", "name", "created_by", "embodiments"}:
        raise NotADatasetError(f"{root / FILE} holds {sorted(strange)}, which no version of this program writes")
    came = about.get("schema_version")
    if came != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{root}: this program reads data sets of schema version {SCHEMA_VERSION}; this one has {json.dumps(came)};"
            f" use the program that wrote it ({about.get('created_by', 'unknown')}), or generate it anew"
        )
    return about


def _created_by() -> str:
    try:
        return f"data-pyramid-factory {version('data-pyramid-factory')}"
    except PackageNotFoundError:
        return "data-pyramid-factory"
