"""Counting: what a job has come to, from the results of units as they arrive or from manifests that are there."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.unit.unit_result import BAD_INPUT, UnitResult
from storage.datasets.dead_letters import DeadLetter, read_dead_letters
from storage.datasets.manifest import read_manifest
from storage.datasets.plan import WorkUnit
from storage.datasets.unit_paths import Sink


@dataclass(kw_only=True)
class Tally:
    """Counts of one job of the data set in `root`. Items are what sources take; episodes are what is kept."""

    job: str
    planned_units: int = 0
    planned_items: int = 0
    committed_units: int = 0
    committed_items: int = 0
    dead_units: int = 0
    dead_items: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    bytes: int = 0
    target: int = 0
    root: str = field(default="", compare=False)

    @property
    def open_units(self) -> int:
        """Units that are neither committed nor given up."""
        return self.planned_units - self.committed_units - self.dead_units

    @property
    def failed_items(self) -> int:
        """Items that came to nothing for a reason that was no decision."""
        return self.dead_items + self.dropped[BAD_INPUT]

    @property
    def failed_fraction(self) -> float:
        """Failed items among those of the units that are done with."""
        return self.failed_items / max(1, self.committed_items + self.dead_items)

    def plan(self, units: list[WorkUnit] | tuple[WorkUnit, ...]) -> None:
        self.planned_units += len(units)
        self.planned_items += sum(len(unit.items) for unit in units)

    def commit(self, result: UnitResult) -> None:
        self.committed_units += 1
        self.committed_items += result.items
        self.kept += result.kept
        self.dropped.update(result.dropped)
        self.steps += result.steps
        self.bytes += result.bytes

    def absorb(self, other: "Tally", *, dead_too: bool) -> None:
        """Take in the counts of another round."""
        names = ("planned_units", "planned_items", "committed_units", "committed_items", "kept", "steps", "bytes")
        for name in (*names, "dead_units", "dead_items") if dead_too else names:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.dropped.update(other.dropped)

    def give_up(self, unit: WorkUnit) -> None:
        self.dead_units += 1
        self.dead_items += len(unit.items)


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a job came to: `tally`, the units that were given up and why, and the seconds that this run took."""

    tally: Tally
    dead_letters: tuple[DeadLetter, ...] = ()
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every planned unit is committed."""
        return self.tally.committed_units == self.tally.planned_units


def tally_of(root: Path, job: str, units: tuple[WorkUnit, ...]) -> Tally:
    """The counts of `units` from the manifests and dead letters in `root` alone."""
    tally = Tally(job=job)
    tally.plan(units)
    for sink in {Sink(root, unit.sink) for unit in units}:
        committed, dead = sink.committed(), sink.dead()
        for unit in (unit for unit in units if unit.sink == sink.name):
            if unit.unit_id in committed:
                manifest = read_manifest(sink.manifest(unit.unit_id))
                tally.commit(UnitResult.of(manifest, items=len(unit.items)))
            elif unit.unit_id in dead:
                tally.give_up(unit)
    return tally


def dead_letters_of(root: Path, units: tuple[WorkUnit, ...]) -> tuple[DeadLetter, ...]:
    """The dead letters of `units`."""
    ids = {unit.unit_id for unit in units}
    sinks = sorted({unit.sink for unit in units})
    letters = [letter for name in sinks for letter in read_dead_letters(Sink(root, name))]
    return tuple(letter for letter in letters if letter.unit_id in ids)
