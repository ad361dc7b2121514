"""How often attempts succeed: every task on D0 and D1, with 95 % intervals and the causes of failure.

The full run makes 100 attempts of each and keeps the rates where `pyramid sim list` finds them. Some tasks can be
named: `python -m benchmarks.simulation_success stack lift`.
"""

import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from benchmarks import measure
from generators.simulation.annotate import SourceReader
from generators.simulation.execute import Generator
from generators.simulation.rates import keep_rates, rate_record
from generators.simulation.recordings import source_path
from generators.simulation.registry import find_task, tasks
from generators.simulation.scene import Scenes
from storage.ids import Randomness

ATTEMPTS = 100
WORST, MEDIAN = 0.30, 0.60
PLACEMENTS = ("D0", "D1")


def run(quick: bool) -> dict[str, Any]:
    """Every registered task; `quick` makes 8 attempts on D0 only, which say little about a rate."""
    return _run(sorted(tasks()), attempts=8 if quick else ATTEMPTS, placements=PLACEMENTS[:1] if quick else PLACEMENTS)


def _run(names: Sequence[str], *, attempts: int, placements: Sequence[str]) -> dict[str, Any]:
    figures: dict[str, float] = {}
    print(f"{'task':<40} {'on':<4} {'success':>8}  95 % interval   failures")
    for placement, name in product(placements, names):
        successes, causes = _attempt(name, placement, attempts)
        record = rate_record(successes, attempts, commit=measure.commit())
        figures[f"{name}_{placement}"] = record["rate"]
        print(_line(name, placement, record, causes), flush=True)
        if attempts >= ATTEMPTS:
            keep_rates({name: {placement: {**record, "failures": dict(causes)}}})
    base = [rate for key, rate in figures.items() if key.endswith("_D0")]
    figures |= {"lowest_on_D0": min(base), "median_on_D0": statistics.median(base)}
    bars = {"lowest_on_D0": {"at_least": WORST}, "median_on_D0": {"at_least": MEDIAN}}
    measure.print_table({key: figures[key] for key in bars}, bars)
    return measure.result(figures, bars)


def _line(name: str, placement: str, record: Mapping[str, Any], causes: Counter[str]) -> str:
    why = ", ".join(f"{count} x {cause}" for cause, count in causes.most_common(3))
    rate, low, high = (100 * record[key] for key in ("rate", "low", "high"))
    return f"{name:<40} {placement:<4} {rate:>6.0f} %  {low:3.0f} - {high:3.0f} %     {why}"


def _attempt(name: str, placement: str, attempts: int) -> tuple[int, Counter[str]]:
    """Successes, and failures by cause."""
    task = find_task(name)
    scenes = Scenes(task)
    sources = SourceReader(task, scenes).read(source_path(task))
    made = {variant: Generator(scenes(placement, variant), sources) for variant in range(task.variants)}
    randomness = Randomness(0, "multiply")
    seeds = [randomness.seed_of(f"{name}/{placement}/{number}") for number in range(attempts)]
    failures = Counter(made[seed % task.variants].attempt(seed).failure for seed in seeds)
    return failures.pop("", 0), failures


if __name__ == "__main__":
    _run(sys.argv[1:] or sorted(tasks()), attempts=ATTEMPTS, placements=PLACEMENTS)
