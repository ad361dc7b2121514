"""How often attempts succeed: every task on D0 and D1, with 95 % intervals and the causes of failure.

The full run makes 100 attempts of each and keeps the rates where `pyramid sim list` finds them. Some tasks can be
named, and less can be asked for: `python -m benchmarks.simulation.success stack lift --placements D1 --attempts 50`.
"""

import argparse
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from benchmarks import measure
from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import source_path
from generators.simulation.inspection.success_rates import keep_rates, measured_rates, rate_record
from generators.simulation.mimicgen.attempt import AttemptResult, DemonstrationGenerator
from generators.simulation.stepping.scene import Scenes
from generators.simulation.task.registry import find_task, tasks
from storage.ids import Randomness

ATTEMPTS = 100
WORST, MEDIAN = 0.30, 0.60
PLACEMENTS = ("D0", "D1")


def run(quick: bool) -> dict[str, Any]:
    """Every registered task; `quick` makes 8 attempts on D0 only, which say little about a rate."""
    if quick:
        return _run(sorted(tasks()), attempts=8, placements=PLACEMENTS[:1], keep=False)
    return _run(sorted(tasks()), attempts=ATTEMPTS, placements=PLACEMENTS)


def _run(names: Sequence[str], *, attempts: int, placements: Sequence[str], keep: bool = True) -> dict[str, Any]:
    figures: dict[str, float] = {}
    print(f"{'task':<40} {'on':<4} {'success':>8}  95 % interval   failures")
    for placement, name in product(placements, names):
        successes, causes, cost = _attempt(name, placement, attempts)
        record = {**rate_record(successes, attempts, commit=measure.commit()), **cost}
        figures[f"{name}_{placement}"] = record["rate"]
        print(_line(name, placement, record, causes), flush=True)
        if keep:
            keep_rates({name: {placement: {**record, "failures": dict(causes)}}})
    base = [rate for key, rate in figures.items() if key.endswith("_D0")] or [float("nan")]
    figures |= {"lowest_on_D0": min(base), "median_on_D0": statistics.median(base)}
    bars = {"lowest_on_D0": {"at_least": WORST}, "median_on_D0": {"at_least": MEDIAN}}
    measure.print_table({key: figures[key] for key in bars}, bars)
    return measure.result(figures, bars)


def _line(name: str, placement: str, record: Mapping[str, Any], causes: Counter[str]) -> str:
    why = ", ".join(f"{count} x {cause}" for cause, count in causes.most_common(3))
    rate, low, high = (100 * record[key] for key in ("rate", "low", "high"))
    return f"{name:<40} {placement:<4} {rate:>6.0f} %  {low:3.0f} - {high:3.0f} %     {why}"


def _attempt(name: str, placement: str, attempts: int) -> tuple[int, Counter[str], dict[str, float]]:
    """Successes, failures by cause, and what an attempt took: CPU seconds and simulated control steps."""
    task = find_task(name)
    scenes = Scenes(task)
    sources = SourceReader(task, scenes).read(source_path(task))
    made = {variant: DemonstrationGenerator(scenes(placement, variant), sources) for variant in range(task.variants)}
    randomness = Randomness(0, "multiply")
    seeds = [randomness.seed_of(f"{name}/{placement}/{number}") for number in range(attempts)]
    results: list[AttemptResult] = []
    taken = measure.timed(lambda: results.extend(made[seed % task.variants].attempt(seed) for seed in seeds))
    failures = Counter(attempt.failure for attempt in results)
    cost = {
        "cpu_s_an_attempt": round(taken.cpu_s / attempts, 3),
        "steps_an_attempt": round(sum(attempt.steps_simulated for attempt in results) / attempts, 1),
    }
    return failures.pop("", 0), failures, cost


def table() -> str:
    """The rates kept so far as Markdown: a row a task, with intervals, causes of failure and cost."""
    rows = ["| task | robot | D0 | D1 | failures (D0; D1) | steps, CPU s an attempt on D0 |", "|---" * 6 + "|"]
    rates = measured_rates()
    for name, task in tasks().items():
        known = rates.get(name, {})
        causes = "; ".join(_causes(known.get(placement)) for placement in PLACEMENTS)
        base = known.get("D0", {})
        cost = f"{base['steps_an_attempt']:.0f}, {base['cpu_s_an_attempt']:.2f}" if "cpu_s_an_attempt" in base else ""
        cells = [f"`{name}`", task.robot_class, *(_rate(known.get(one)) for one in PLACEMENTS), causes, cost]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _rate(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "not measured"
    rate, low, high = (100 * record[key] for key in ("rate", "low", "high"))
    few = "" if record["attempts"] == ATTEMPTS else f", {record['attempts']} attempts"
    return f"{rate:.0f} % ({low:.0f} to {high:.0f}{few})"


def _causes(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return ""
    return ", ".join(f"{count} {cause}" for cause, count in record["failures"].items()) or "none"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.success")
    parser.add_argument("names", nargs="*", help="tasks; all of them when none is named")
    parser.add_argument("--placements", nargs="+", default=PLACEMENTS)
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    parser.add_argument("--table", action="store_true", help="print the rates kept so far as Markdown, measure nothing")
    options = parser.parse_args()
    if options.table:
        print(table())
    else:
        _run(options.names or sorted(tasks()), attempts=options.attempts, placements=options.placements)
