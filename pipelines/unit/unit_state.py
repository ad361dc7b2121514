"""A unit on its way through the stages: what it holds now, and what has happened to it so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from storage.datasets.manifest import StageRecord
from storage.datasets.plan import WorkUnit
from storage.datasets.unit_paths import SHARDS
from storage.episode import Episode
from storage.ids import content_id
from storage.outcomes import Dropped, Kept, Outcome
from storage.shards.reader import StoredPayloads


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """`inputs` are what the next stage takes: the items of the unit before its source, episodes after it.

    `base` are the episodes as the source gave them, without arrays and frames: what a sidecar is laid out by.
    """

    unit: WorkUnit
    inputs: tuple[Any, ...]
    base: tuple["BaseEpisode", ...] = ()
    dropped: tuple[Dropped, ...] = ()
    stages: tuple[StageRecord, ...] = ()

    @classmethod
    def start(cls, unit: WorkUnit) -> "UnitState":
        """A unit that nobody has touched yet."""
        return cls(unit=unit, inputs=unit.items)

    def without(self, dropped: Sequence[Dropped]) -> "UnitState":
        """This unit without the inputs that `dropped` decides against."""
        gone = {drop.episode_id for drop in dropped}
        left = tuple(each for each in self.inputs if name_of(each) not in gone)
        return replace(self, inputs=left, dropped=(*self.dropped, *dropped)) if dropped else self

    def after(self, record: StageRecord, outcomes: Sequence[Sequence[Outcome]], *, source: bool) -> "UnitState":
        """This unit after a stage that gave `outcomes`."""
        flat = [outcome for each in outcomes for outcome in each]
        episodes = tuple(outcome.episode for outcome in flat if isinstance(outcome, Kept))
        base = tuple(BaseEpisode.of(episode) for episode in episodes) if source and self.unit.sink != SHARDS else ()
        return replace(
            self,
            inputs=episodes,
            base=base or self.base,
            dropped=self.dropped + tuple(outcome for outcome in flat if isinstance(outcome, Dropped)),
            stages=(*self.stages, record),
        )


@dataclass(frozen=True, kw_only=True)
class BaseEpisode:
    """An episode before it was labelled: its record without content, and the names of what it held."""

    episode: Episode
    fields: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, episode: Episode) -> "BaseEpisode":
        return cls(episode=replace(episode, arrays={}, cameras={}), fields=episode.fields)


def name_of(thing: Any) -> str:
    """The name of a stage's input: an episode's id, or an item's own id, or one that follows from its content."""
    if isinstance(thing, Episode):
        return thing.episode_id
    return str(thing.get("episode_id") or thing.get("id") or content_id("item", thing))


def added_bytes(before: Sequence[Any], outcomes: Sequence[Sequence[Outcome]]) -> int:
    """Bytes of arrays and encoded frames that a stage added."""
    total = 0
    for thing, outcomes_of_it in zip(before, outcomes, strict=True):
        known = thing.fields if isinstance(thing, Episode) else frozenset()
        for outcome in outcomes_of_it:
            if isinstance(outcome, Kept):
                total += _bytes_beyond(outcome.episode, known)
    return total


def _bytes_beyond(episode: Episode, known: frozenset[str]) -> int:
    arrays = sum(array.nbytes for name, array in episode.arrays.items() if name not in known)
    return arrays + sum(
        _size(frames.payloads) for camera, frames in episode.cameras.items() if f"video/{camera}" not in known
    )


def _size(payloads: Sequence[bytes | memoryview]) -> int:
    return payloads.total_bytes if isinstance(payloads, StoredPayloads) else sum(map(len, payloads))
