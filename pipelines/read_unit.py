"""The source of every job that works on data that is there already: one item is one committed unit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.job import DATASET, UnitItems
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import read_manifest
from storage.errors import ConfigError
from storage.fields import covers
from storage.ids import Randomness, content_id
from storage.outcomes import Kept, Outcome


@dataclass(frozen=True, kw_only=True)
class ReadUnitConfig:
    """Where the units are ("@dataset": in the data set that the job writes into) and which labels to join to them."""

    dataset: str = field(default=DATASET, metadata={"identity": False})
    labels: tuple[str, ...] = ()


class ReadUnit:
    """Items `{"unit": id}` become the episodes of that unit; frames stay on the disk until a stage looks at them."""

    def __init__(self, config: ReadUnitConfig) -> None:
        self._config = config
        self._dataset: Dataset | None = None

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness) -> list[list[Outcome]]:
        return [self._episodes(str(item["unit"])) for item in items]

    def _episodes(self, unit_id: str) -> list[Outcome]:
        if self._dataset is None or unit_id not in self._dataset.units():
            self._dataset = Dataset.open(Path(self._config.dataset), labels=self._config.labels)
        shard = self._dataset.open_shard(unit_id)
        return [Kept(shard.episode(place)) for place in range(len(shard.episodes))]


def label_units(dataset: Dataset, units: Iterable[str] | None = None) -> tuple[UnitItems, ...]:
    """The units of a job that labels `dataset` (all of it, or `units`): sidecars under the ids of what they label."""
    return tuple(
        UnitItems(items=({"unit": unit_id},), inputs={"unit": unit_id}, unit_id=unit_id)
        for unit_id in (dataset.units() if units is None else units)
    )


def copy_units(dataset: Dataset, units: Iterable[str] | None = None) -> tuple[UnitItems, ...]:
    """The units of a job that reads `dataset` and writes new shards, one for each unit that it reads."""
    return tuple(
        UnitItems(items=({"unit": unit_id},), inputs={"unit": unit_id, **_label_content(dataset, unit_id)})
        for unit_id in (dataset.units() if units is None else units)
    )


def _label_content(dataset: Dataset, unit_id: str) -> dict[str, str]:
    """Label -> hash of what it says about the unit: other labels are other input."""
    manifests = {sink.name: sink.manifest(unit_id) for sink in dataset.label_sinks}
    shards = {name: read_manifest(path).shard for name, path in manifests.items() if path.exists()}
    return {name: content_id(shard.files) for name, shard in shards.items() if shard is not None}


def fields_of(dataset: Dataset, units: Iterable[str] | None = None) -> frozenset[str]:
    """What every episode of the units holds: `Job.provides` of a job that reads them. Units whose cameras are called
    otherwise still all have "video"."""
    fields = [dataset.fields(unit_id) for unit_id in (dataset.units() if units is None else units)]
    fields = [names | {"video"} if any(map(_is_video, names)) else names for names in fields]
    if not fields:
        raise ConfigError(f"{dataset.root} has no committed units to read")
    return frozenset.intersection(*fields)


def _is_video(name: str) -> bool:
    return covers("video", name)
