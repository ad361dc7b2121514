"""What each switch beyond the papers does to the success rate and to the cost: same tasks, same seeds, one switch at a
time turned from the task's default."""

import argparse
from collections.abc import Sequence
from typing import Any

from benchmarks import measure
from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import source_path
from generators.simulation.mimicgen.attempt import DemonstrationGenerator
from generators.simulation.plan_attempts import wilson_interval
from generators.simulation.stepping.scene import Scenes
from generators.simulation.task.execution import execution_with
from generators.simulation.task.registry import find_task
from storage.ids import Randomness

SWITCHES: dict[str, dict[str, Any]] = {
    "as the task ships": {},
    "no settling before the hand moves": {"settle_steps": 0},
    "no checks of subtasks": {"check_subtasks": False},
    "no retries": {"retries": 0},
    "two retries": {"retries": 2},
    "reach and collision check": {"check_reach": True},
    "no speed limit on bridges": {"limit_speed": False},
    "success at one step is enough": {"success_steps": 1},
    "a source for every subtask": {"sources_per": "subtask"},
}
_TASKS = ("stack", "two_arm_lift", "bottle_from_cutting_board_to_shelf")
"""One of each kind of robot, on D1, where things lie farther from where they were demonstrated."""
ATTEMPTS = 30


def run(quick: bool) -> dict[str, Any]:
    """Success rate and CPU seconds per success of each switch; `quick` takes Stack only."""
    return _run(_TASKS[:1] if quick else _TASKS, attempts=15 if quick else ATTEMPTS)


def _run(
    names: Sequence[str], *, attempts: int, placement: str = "D1", switches: Sequence[str] = tuple(SWITCHES)
) -> dict[str, Any]:
    figures: dict[str, float] = {}
    for name in names:
        print(f"{name}, {placement}, {attempts} attempts of each:")
        task = find_task(name)
        scenes = Scenes(task)
        sources = SourceReader(task, scenes).read(source_path(task))
        for label in switches:
            execution = execution_with(SWITCHES[label], task.execution)
            made = DemonstrationGenerator(scenes(placement, 0), sources, execution=execution)
            successes, cpu_s = _measure(made, f"{name}/{placement}", attempts)
            low, high = wilson_interval(successes, attempts)
            rate, cost = successes / attempts, cpu_s / max(successes, 1)
            print(
                f"  {label:<34} {100 * rate:4.0f} %  ({100 * low:3.0f} - {100 * high:3.0f})  {cost:6.2f} CPU s each",
                flush=True,
            )
            figures[f"{name}: {label}"] = rate
            figures[f"{name}: {label}, CPU s a success"] = cost
    return measure.result(figures, {})


def _measure(made: DemonstrationGenerator, stream: str, attempts: int) -> tuple[int, float]:
    randomness = Randomness(0, "multiply")
    successes: list[bool] = []
    seeds = [randomness.seed_of(f"{stream}/{number}") for number in range(attempts)]
    taken = measure.timed(lambda: successes.extend(made.attempt(seed).succeeded for seed in seeds))
    return sum(successes), taken.cpu_s


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.switches")
    parser.add_argument("names", nargs="*", default=_TASKS, help="tasks")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    parser.add_argument("--placement", default="D1")
    parser.add_argument("--switches", nargs="+", default=tuple(SWITCHES), choices=tuple(SWITCHES))
    options = parser.parse_args()
    _run(options.names, attempts=options.attempts, placement=options.placement, switches=options.switches)
