"""Orchestration: what the Ray engine costs over a bare loop, and what a second worker brings.

The units burn CPU, two seconds each, and commit a tiny shard. Overhead is the time in which the one worker was not at
a unit: the wall time of the run over the seconds that its manifests say the units took, less the same of a bare loop.
Both stretch alike when other programs want the CPUs, so this stands on a busy machine too. The gain of a second worker
is the ratio of wall times, and needs two free CPUs to show: beside it stand what two bare processes gain in the same
minute, and `..._accounted`, the gain if a unit took as long with two workers as with one.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import measure
from pipelines.engines.ray_engine import RayEngine
from pipelines.engines.ray_session import stop_ray
from pipelines.job import Job, PlannedJob, UnitItems
from pipelines.planning.plan import planned, units_of
from pipelines.testing.tiny_jobs import burn, load_test_stages
from pipelines.unit.run_unit import UnitWorker
from storage.datasets.manifest import read_manifests
from storage.datasets.plan import WorkUnit
from storage.datasets.unit_paths import Sink

UNIT_S = 2.0
BARS = {
    "ray_overhead": {"at_most": 0.05},
    "two_workers_over_one": {"at_least": 1.7},
}


def run(quick: bool) -> dict[str, object]:
    """Measure with units of two seconds: rounds of a bare loop, Ray with one worker, Ray with two."""
    load_test_stages()
    units, rounds = (16, 1) if quick else (20, 3)
    seen: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for number in range(rounds):
            for contestant, figure in _round(Path(name) / str(number), units):
                seen.setdefault(contestant, []).append(figure)
    stop_ray()
    # Other programs only ever add to a time, so the shortest is the nearest to the truth.
    figures = {name: max(values) if name.endswith("over_one") else min(values) for name, values in seen.items()}
    figures["ray_overhead"] = figures["ray_one_worker_idle"] - figures["bare_loop_idle"]
    figures["ray_over_bare_wall"] = figures["ray_one_worker_wall_s"] / figures["bare_loop_wall_s"]
    figures["two_workers_over_one"] = figures["ray_one_worker_wall_s"] / figures["ray_two_workers_wall_s"]
    busy = (1 + figures["ray_one_worker_idle"]) / (1 + figures["ray_two_workers_idle"])
    figures["two_workers_over_one_accounted"] = 2 * busy
    figures["load_average"] = os.getloadavg()[0]
    print(f"{units} units of {UNIT_S:g} CPU seconds, best of {rounds} rounds; idle: share of time not at a unit")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _round(folder: Path, units: int) -> Iterator[tuple[str, float]]:
    """Each contestant once, with units of its own."""
    wall_s, idle = _bare_loop(folder / "bare", units)
    yield from (("bare_loop_wall_s", wall_s), ("bare_loop_idle", idle))
    for workers, name in ((1, "ray_one_worker"), (2, "ray_two_workers")):
        started_s, wall_s, idle = _with_ray(folder / name, units, workers)
        yield from ((f"{name}_start_s", started_s), (f"{name}_wall_s", wall_s), (f"{name}_idle", idle))
    yield "two_bare_processes_over_one", _two_processes(units)


def _bare_loop(root: Path, units: int) -> tuple[float, float]:
    job, work = _work(root, units)
    worker = UnitWorker(root, job)
    worker(work[0])
    began_s = time.perf_counter()
    for unit in work[1:]:
        worker(unit)
    return _measured(root, work[1:], began_s, workers=1)


def _with_ray(root: Path, units: int, workers: int) -> tuple[float, float, float]:
    """Seconds to start until the first units are done, and then what `_measured` says of the rest."""
    job, work = _work(root, units, warm_up=workers)
    with _engine(root, job, workers) as engine:
        began_s = time.perf_counter()
        assert len(list(engine.attempt(work[:workers], alone=False))) == workers
        started_s = time.perf_counter() - began_s
        began_s = time.perf_counter()
        assert len(list(engine.attempt(work[workers:], alone=False))) == units
        return started_s, *_measured(root, work[workers:], began_s, workers=workers)


@contextmanager
def _engine(root: Path, job: PlannedJob, workers: int) -> Iterator[RayEngine]:
    engine = RayEngine(root, job, address=None, workers=workers)
    try:
        yield engine
    finally:
        engine.close()


def _measured(root: Path, work: tuple[WorkUnit, ...], began_s: float, *, workers: int) -> tuple[float, float]:
    """Wall seconds since `began_s`, and the share of them in which a worker was not at one of the units."""
    wall_s = time.perf_counter() - began_s
    ids = {unit.unit_id for unit in work}
    manifests = [manifest for manifest in read_manifests(Sink(root)) if manifest.unit_id in ids]
    at_units_s = sum(stage.wall_s for manifest in manifests for stage in manifest.stages)
    return wall_s, wall_s * workers / at_units_s - 1


def _work(root: Path, units: int, warm_up: int = 1) -> tuple[PlannedJob, tuple[WorkUnit, ...]]:
    root.mkdir(parents=True)
    groups = tuple(UnitItems(items=({"seed": seed},)) for seed in range(units + warm_up))
    job = Job(name="bench", stages=(("tiny_source", {"work_s": UNIT_S}),), units=groups)
    settled = planned(job)
    return settled, units_of(settled, groups)


def _two_processes(units: int) -> float:
    """How much sooner two bare processes are done with the same work than one: what this machine can give at best."""
    context = multiprocessing.get_context("spawn")
    seconds = []
    for processes in (1, 2):
        share = units * UNIT_S / 2 / processes
        workers = [context.Process(target=burn, args=(share,)) for _ in range(processes)]
        began_s = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds.append(time.perf_counter() - began_s)
    return seconds[0] / seconds[1]
