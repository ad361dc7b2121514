"""Splitting a data set by episode, for training and validation.

Which part an episode belongs to follows from its id and the seed alone: it stays there when the data set grows, and
labels, dead letters of inputs and re-runs fall on the same side.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from storage.datasets.commit import Attempt
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.plan import WorkUnit, write_plan
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import AlreadyWrittenError, ConfigError
from storage.ids import content_id
from storage.shards.reader import Shard
from storage.shards.streams import disk_errors
from storage.shards.writer import ShardWriter

JOB = "split"


def split(source: Path, parts: Mapping[Path, float], *, seed: int = 0, by_parent: bool = False) -> dict[Path, int]:
    """Write each of `parts`, a new folder -> its share of the episodes, and return how many episodes each one got.

    Shares sum to 1 and are reached on average. With `by_parent`, episodes that were made from one parent stay together,
    so that what is validated on is not a variation of what was trained on. Frames are copied as they are encoded.
    """
    if abs(sum(parts.values()) - 1) > 1e-6 or min(parts.values()) <= 0 or len(parts) < 2:
        raise ConfigError(f"a split takes two parts or more with shares above 0 that sum to 1; got {[*parts.values()]}")
    dataset = Dataset(source)
    bounds = [0.0, *accumulate(parts.values())]
    bounds[-1] = 1.0  # the sum may miss it by a rounding error
    return {
        target: _write_part(dataset, target, _Part(seed=seed, low=low, high=high, by_parent=by_parent))
        for target, low, high in zip(parts, bounds[:-1], bounds[1:], strict=True)
    }


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Which episodes belong to one part: those whose keyed hash lies in [low, high) of [0, 1)."""

    seed: int
    low: float
    high: float
    by_parent: bool

    def holds(self, episode_id: str, parent_id: str = "") -> bool:
        key = parent_id if self.by_parent and parent_id else episode_id
        return self.low <= int(content_id("split", self.seed, key)[:13], 16) / 16**13 < self.high

    def unit_id(self, unit_id: str) -> str:
        """The id of what this part takes of a unit."""
        return content_id("split", unit_id, self)


def _write_part(dataset: Dataset, target: Path, part: _Part) -> int:
    there = Dataset.create_or_open(target, name=f"{dataset.name} {part.low:g}-{part.high:g}")
    there.declare(*dataset.embodiments.values())
    places = {unit_id: chosen for unit_id in dataset.units() if (chosen := _places(dataset, unit_id, part))}
    _refuse_others(there, {part.unit_id(unit_id) for unit_id in places})
    for number, sink in enumerate(sinks_of(dataset.root)):
        units = sorted(sink.committed() & places.keys())
        if units:
            # A round of the plan for each sink: a shard and its sidecars share one unit id.
            planned = [_planned(sink, unit_id, part, places[unit_id]) for unit_id in units]
            write_plan(target, [replace(unit, round=number) for unit in planned])
        for unit_id in units:
            _write_unit(sink, Sink(target, sink.name), unit_id, part=part, places=places[unit_id])
    Dataset(target).compact()
    return sum(len(chosen) for chosen in places.values())


def _refuse_others(target: Dataset, units: Set[str]) -> None:
    """A part goes into a folder of its own: what lies there already may be the same episodes."""
    if others := set(target.units()) - units:
        raise AlreadyWrittenError(
            f"{target.root} holds {len(others)} units that are not of this split; write the parts to a new folder"
        )


def _places(dataset: Dataset, unit_id: str, part: _Part) -> list[int]:
    """The places in the unit of the episodes that belong to `part`."""
    first, behind = dataset.index.rows_of_unit[unit_id]
    rows = dataset.index.table.slice(first, behind - first)
    pairs = zip(rows["episode_id"].to_pylist(), rows["parent_id"].to_pylist(), strict=True)
    return [place for place, (episode_id, parent_id) in enumerate(pairs) if part.holds(episode_id, parent_id)]


def _planned(sink: Sink, unit_id: str, part: _Part, places: Sequence[int]) -> WorkUnit:
    item = {"unit": unit_id, "places": list(places)}
    config_hash = content_id(JOB, part)
    return WorkUnit(
        unit_id=part.unit_id(unit_id), job=JOB, items=(item,), seed=part.seed, config_hash=config_hash, sink=sink.name
    )


def _write_unit(source: Sink, target: Sink, unit_id: str, *, part: _Part, places: Sequence[int]) -> None:
    """Write the episodes at `places` of a unit as a unit of their own; frames as they are encoded."""
    manifest = read_manifest(source.manifest(unit_id))
    new_id = part.unit_id(unit_id)
    if manifest.shard is None or new_id in target.committed():
        return
    shard = Shard(source.shard(unit_id))
    with disk_errors(target.root), Attempt(target, new_id) as attempt:
        with ShardWriter(attempt.path, unit_id=new_id) as writer:
            for place in places:
                writer.add(shard.episode(place))
            record = writer.close()
        dropped = tuple(drop for drop in manifest.dropped if part.holds(drop.episode_id))
        config_hash = content_id(JOB, part)
        attempt.publish(
            Manifest(
                unit_id=new_id,
                job=JOB,
                config_hash=config_hash,
                seed=part.seed,
                sink=target.name,
                shard=record,
                dropped=dropped,
            )
        )
