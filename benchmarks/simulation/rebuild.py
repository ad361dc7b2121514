"""Kept trajectories again, in plain `env.step`, from what their own provenance holds.

Every task makes trajectories on D0 and on D1; they are written to a data set, read from it, rebuilt by the documented
call, and stepped. Some tasks can be named, or data sets that are there:
`python -m benchmarks.simulation.rebuild stack lift --kept 6`, `... --data runs/stack`.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from generators.simulation.demonstrations.rebuild import rebuild
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import tasks
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.ids import Randomness
from storage.outcomes import Kept
from storage.testing import write_unit

KEPT = 3
TRIES = 20
PLACEMENTS = ("D0", "D1")


def run(quick: bool) -> dict[str, Any]:
    """Every registered task, three trajectories on each placement; `quick` takes one on D0."""
    return _run(list(tasks()), kept=1 if quick else KEPT, placements=PLACEMENTS[:1] if quick else PLACEMENTS)


def _run(names: Sequence[str], *, kept: int, placements: Sequence[str]) -> dict[str, Any]:
    made = {name: (episode for one in placements for episode in _stored(name, one, kept)) for name in names}
    return _rebuilt(made, wanted=kept * len(placements) * len(names))


def _rebuilt(made: Mapping[str, Iterable[Episode]], *, wanted: int = 0) -> dict[str, Any]:
    rebuilt = succeeded = 0
    apart = 0.0
    for name, episodes in made.items():
        again = [_again(episode) for episode in episodes]
        good, furthest = sum(success for success, _ in again), max((far for _, far in again), default=0.0)
        print(f"{name:<50} {good} of {len(again)} succeed again, states apart {furthest:g}", flush=True)
        rebuilt, succeeded, apart = rebuilt + len(again), succeeded + good, max(apart, furthest)
    figures = {
        "trajectories": rebuilt,
        "made_of_those_wanted": rebuilt / (wanted or rebuilt),
        "succeed_again": succeeded / max(rebuilt, 1),
        "states_apart": apart,
    }
    bars = {"succeed_again": {"at_least": 1.0}, "states_apart": {"at_most": 0.0}}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _stored(name: str, placement: str, kept: int) -> Iterator[Episode]:
    """Kept trajectories of a task, as a data set gives them back."""
    stage = Multiply(MultiplyConfig(task=name, placement=placement, size_px=0))
    items = [{"first_attempt": TRIES * number, "attempts": TRIES, "keep_at_most": 1} for number in range(kept)]
    outcomes = stage(items, Randomness(0, "multiply"))
    made = [outcome.episode for one in outcomes for outcome in one if isinstance(outcome, Kept)]
    with tempfile.TemporaryDirectory() as folder:
        Dataset.create(Path(folder), name=name)
        write_unit(Path(folder), made)
        yield from Dataset.open(Path(folder)).episodes()


def _again(episode: Episode) -> tuple[bool, float]:
    """Whether a trajectory succeeds again, and the largest difference of its states from those recorded."""
    made = rebuild(episode)
    apart = 0.0
    for action, state in zip(made.actions, made.states, strict=True):
        apart = max(apart, float(np.abs(state_row(made.environment) - state).max()))
        made.environment.step(action)
    return made.succeeded(), apart


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.rebuild")
    parser.add_argument("names", nargs="*", help="tasks; all of them when none is named")
    parser.add_argument("--placements", nargs="+", default=PLACEMENTS)
    parser.add_argument("--kept", type=int, default=KEPT)
    parser.add_argument("--data", nargs="+", default=(), type=Path, help="data sets whose episodes are rebuilt instead")
    options = parser.parse_args()
    if options.data:
        _rebuilt({str(folder): Dataset.open(folder).episodes() for folder in options.data})
    else:
        _run(options.names or list(tasks()), kept=options.kept, placements=options.placements)
