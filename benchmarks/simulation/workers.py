"""Trajectories per second of one worker and of two, side by side on this machine."""

import multiprocessing
import time
from typing import Any

from benchmarks import measure

BARS = {"two_workers_over_one": {"at_least": 1.7}}
TASK = "stack"


def run(quick: bool) -> dict[str, Any]:
    """Each worker generates Stack with two cameras for a fixed time after it has warmed up."""
    seconds = 15.0 if quick else 60.0
    (one, one_cpu_s), (two, two_cpu_s) = _rate(1, seconds), _rate(2, seconds)
    figures = {
        "two_workers_over_one": two / one,
        "trajectories_per_second_one": one,
        "trajectories_per_second_two": two,
        "cpu_s_per_trajectory_one": one_cpu_s,
        "cpu_s_per_trajectory_two": two_cpu_s,
        "gain_if_both_had_a_core": 2 * one_cpu_s / two_cpu_s,
    }
    print(f"Workers that generate {TASK} with two cameras (wall time; needs two idle cores):")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _rate(workers: int, seconds: float) -> tuple[float, float]:
    """Kept trajectories per second of wall time, all workers together, and CPU seconds for each."""
    context = multiprocessing.get_context("spawn")
    ready, counts = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=_work, args=(number, seconds, ready, counts)) for number in range(workers)]
    for process in processes:
        process.start()
    attempts = [counts.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    kept, wall_s, cpu_s = (float(sum(column)) for column in zip(*attempts, strict=True))
    return kept / wall_s * workers, cpu_s / max(kept, 1.0)


def _work(number: int, seconds: float, ready: Any, counts: Any) -> None:
    from generators.simulation.multiply import Multiply
    from generators.simulation.multiply_config import MultiplyConfig
    from storage.ids import Randomness
    from storage.outcomes import Kept

    stage, randomness = Multiply(MultiplyConfig(task=TASK)), Randomness(number, "multiply")
    stage([{"first_attempt": 10**6, "attempts": 10, "keep_at_most": 1}], randomness)
    ready.wait()
    started, cpu_started, attempt, kept = time.perf_counter(), time.process_time(), 0, 0
    while time.perf_counter() - started < seconds:
        (outcomes,) = stage([{"first_attempt": attempt}], randomness)
        kept += sum(isinstance(outcome, Kept) for outcome in outcomes)
        attempt += 1
    counts.put((kept, time.perf_counter() - started, time.process_time() - cpu_started))
