"""Orchestration in a whole job: which share of it is planning, bookkeeping and moving of records, and not work.

The shipped demo without recordings, on the local engine: every layer, labels, verdicts, roll-outs. Work is what the
manifests say that stages took, commits included, and the steps that are no job (a selection, statistics, the page).
Making a stage (loading its framework and its model, once) is work too, and stands apart. Orchestration is what a job
takes besides: of a step that is one job everything outside of its stages, of other steps everything between the
beginning and the end of their jobs that no stage took. CPU seconds of the process count, wall
seconds are quoted; the policy server of the roll-outs is a process of its own and in neither.
"""

import os
import tempfile
import time
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Seconds
from pipelines.engines.options import EngineOptions
from pipelines.job import PlannedStage
from pipelines.progress.job_counts import Tally
from pipelines.stage import StageCall
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import sinks_of
from workflows.recipes.recipe import Recipe, find_recipe, load_recipe
from workflows.recipes.run_context import RunContext
from workflows.steps import STEPS
from workflows.steps.step_kind import JobStep

BARS = {"orchestration_share_cpu": {"at_most": 0.05}}


class MakingClock:
    """Adds up what making stages takes."""

    def __init__(self) -> None:
        self.making = Seconds(cpu_s=0.0, wall_s=0.0)
        make = PlannedStage.make

        def timed(stage: PlannedStage, root: Path) -> StageCall:
            began = _now()
            try:
                return make(stage, root)
            finally:
                self.making = _plus(self.making, _minus(_now(), began))

        PlannedStage.make = timed  # type: ignore[method-assign, assignment]


class JobClock:
    """A listener that adds up the time between the beginnings and the ends of jobs."""

    def __init__(self) -> None:
        self.jobs = Seconds(cpu_s=0.0, wall_s=0.0)
        self._began = Seconds(cpu_s=0.0, wall_s=0.0)

    def begin(self, tally: Tally) -> None:
        self._began = _now()

    def changed(self, tally: Tally) -> None: ...

    def end(self, tally: Tally) -> None:
        self.jobs = _plus(self.jobs, _minus(_now(), self._began))

    def said(self, text: str) -> None: ...


def run(quick: bool) -> dict[str, object]:
    """Run the demo once, with fewer trajectories when `quick`, and add up."""
    for name in ("VIDEOS", "PYRAMID_REAL_DATA"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(find_recipe("demo"), output=f"{folder}/demo")
        figures = _measured(recipe, Path(folder) / "demo", keep=8 if quick else 0)
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _measured(recipe: Recipe, root: Path, *, keep: int) -> dict[str, float]:
    clock, maker = JobClock(), MakingClock()
    context = RunContext(root=root, seed=recipe.seed, options=EngineOptions(progress=clock))
    Dataset.create_or_open(root, name=recipe.name)
    total = lost = Seconds(cpu_s=0.0, wall_s=0.0)
    for step in (step for step in recipe.steps if step.wanted):
        settings = {"keep": keep} if keep and step.kind == "generate" else {}
        config = type(step.config)(**{**vars(step.config), **settings})
        stages, jobs, made = _stage_seconds(root), clock.jobs, maker.making
        took = measure.timed(lambda config=config, kind=step.kind: STEPS[kind].run(context, config))  # type: ignore[misc]
        worked = _minus(_stage_seconds(root), stages)
        whole = took if isinstance(STEPS[step.kind], JobStep) else _minus(clock.jobs, jobs)
        besides = _minus(_minus(whole, worked), _minus(maker.making, made))
        print(
            f"{step.title:24} {took.cpu_s:7.2f} s CPU, stages {worked.cpu_s:7.2f}, besides {besides.cpu_s:6.3f}",
            flush=True,
        )
        total, lost = _plus(total, took), _plus(lost, besides)
    return {
        "whole_job_cpu_s": total.cpu_s,
        "whole_job_wall_s": total.wall_s,
        "making_stages_cpu_s": maker.making.cpu_s,
        "orchestration_cpu_s": lost.cpu_s,
        "orchestration_share_cpu": lost.cpu_s / total.cpu_s,
        "orchestration_share_wall": lost.wall_s / total.wall_s,
        "load_average": os.getloadavg()[0],
    }


def _stage_seconds(root: Path) -> Seconds:
    """What all manifests below `root` say that stages took, those of data sets inside it too."""
    inner = [path.parent for path in root.rglob("dataset.json")]
    stages = [
        stage
        for folder in inner
        for sink in sinks_of(folder)
        for manifest in read_manifests(sink)
        for stage in manifest.stages
    ]
    return Seconds(cpu_s=sum(stage.cpu_s for stage in stages), wall_s=sum(stage.wall_s for stage in stages))


def _now() -> Seconds:
    return Seconds(cpu_s=time.process_time(), wall_s=time.perf_counter())


def _plus(one: Seconds, other: Seconds) -> Seconds:
    return Seconds(cpu_s=one.cpu_s + other.cpu_s, wall_s=one.wall_s + other.wall_s)


def _minus(one: Seconds, other: Seconds) -> Seconds:
    return Seconds(cpu_s=one.cpu_s - other.cpu_s, wall_s=one.wall_s - other.wall_s)
