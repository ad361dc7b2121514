"""`stages`: any chain of stages, also of one's own, over a data set: into labels, or a new data set of what is kept."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.engines.options import EngineOptions
from pipelines.job import Job, UnitItems
from pipelines.progress.job_counts import Tally
from pipelines.progress.line import reasons
from pipelines.read_unit import copy_units, fields_of, label_units
from pipelines.run_job import run_job
from storage.atomic_files import write_whole
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import read_manifest
from storage.datasets.plan import read_plans
from storage.datasets.unit_paths import SHARDS, Sink
from storage.errors import ConfigError, WorkFailedError
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep

REJECTS = "rejects"
"""Folder in the new data set: a data set of the rejected episodes. Beside it `rejects.jsonl` lists them."""


@dataclass(frozen=True, kw_only=True)
class StagesStep:
    """Run `chain`, names of stages or `{name: settings}`, over every unit of the run's data set.

    `sink` is "labels/<name>" for a sidecar of the data set (then every stage gives each episode back, or drops it), or
    the folder of a new data set of the episodes that are kept. `labels` are sidecars whose arrays the stages see.
    What is dropped is listed in the new data set's `rejects.jsonl` with its reason, and with `keep_rejects` the
    episodes themselves are in its folder `rejects`, a data set too.
    """

    name: str
    chain: tuple[str | Mapping[str, Mapping[str, Any] | None], ...]
    sink: str
    labels: tuple[str, ...] = ()
    keep_rejects: bool = True

    def __post_init__(self) -> None:
        if not self.chain or not self.sink:
            raise ConfigError(
                f'stages: a chain of at least one stage, and sink "labels/<name>" or a folder; got {self}'
            )
        list(self.stages())

    @property
    def into_labels(self) -> bool:
        return self.sink.startswith("labels/")

    def stages(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The chain as a job has it."""
        for link in self.chain:
            if isinstance(link, str):
                yield link, {}
            elif len(link) == 1:
                ((name, settings),) = link.items()
                yield name, dict(settings or {})
            else:
                raise ConfigError(f"a link of a chain is a stage's name, or one name with its settings; got {link}")


def stages_job(context: RunContext, step: StagesStep) -> Job:
    """The job: one unit for each unit of the data set. Raises ConfigError where that is empty."""
    dataset = Dataset.open(context.root, labels=step.labels)
    place = {} if step.into_labels else {"dataset": str(context.root.absolute())}
    return Job(
        name=step.name,
        stages=(("read_unit", {**place, "labels": step.labels}), *step.stages()),
        units=label_units(dataset) if step.into_labels else copy_units(dataset),
        sink=step.sink if step.into_labels else SHARDS,
        seed=context.seed,
        provides=fields_of(dataset),
        embodiments=() if step.into_labels else tuple(dataset.embodiments.values()),
    )


def run_stages(context: RunContext, step: StagesStep) -> str:
    """Run the chain; what it drops is kept beside the reasons."""
    if step.into_labels:
        tally = run_job(context.root, stages_job(context, step), context.options).tally
        return f"{step.name}: labelled {tally.kept} episodes as {step.sink}{_dropped(tally)}"
    target = Path(step.sink)
    if target.resolve() == context.root.resolve():
        raise ConfigError(f"{target} is the data set that is read; name the folder of a new one")
    result = run_job(target, stages_job(context, step), context.options)
    if not result.complete:
        raise WorkFailedError(
            f"{len(result.dead_letters)} units of {step.name} failed for good; their causes are in {target}/failed, and"
            " the same command tries them again"
        )
    tally = result.tally
    rejected = dict(_rejects(target, step.name))
    lines = [
        json.dumps({"unit": unit, "episode_id": name, **why})
        for unit in rejected
        for name, why in rejected[unit].items()
    ]
    write_whole(target / f"{REJECTS}.jsonl", "".join(f"{line}\n" for line in lines).encode())
    if step.keep_rejects and rejected:
        _keep_rejects(context, step, rejected, context.options)
    return f"{step.name}: kept {tally.kept} episodes in {target}{_dropped(tally)}"


def _dropped(tally: Tally) -> str:
    return f", dropped {tally.dropped.total()} ({reasons(tally.dropped)})" if tally.dropped else ""


def _rejects(target: Path, job: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Unit of the source -> its rejected episodes, each with reason, score and what else its stage said."""
    for unit in read_plans(target, job):
        path = Sink(target).manifest(unit.unit_id)
        dropped = read_manifest(path).dropped if path.exists() else ()
        if dropped:
            rejects = {drop.episode_id: {"reason": drop.reason, "score": drop.score, **drop.detail} for drop in dropped}
            yield str(unit.items[0]["unit"]), rejects


def _keep_rejects(
    context: RunContext, step: StagesStep, rejected: Mapping[str, Mapping[str, Any]], options: EngineOptions
) -> None:
    """Write the rejected episodes as a data set of their own, each with its reason as a verdict."""
    dataset = Dataset.open(context.root, labels=step.labels)
    units = {unit.items[0]["unit"]: unit.inputs for unit in copy_units(dataset, rejected)}
    job = Job(
        name=f"{step.name}-{REJECTS}",
        stages=(("read_rejects", {"dataset": str(context.root.absolute()), "labels": step.labels}),),
        units=tuple(
            UnitItems(items=({"unit": unit, "rejects": dict(rejected[unit])},), inputs=inputs)
            for unit, inputs in units.items()
        ),
        seed=context.seed,
        provides=fields_of(dataset),
        embodiments=tuple(dataset.embodiments.values()),
    )
    run_job(Path(step.sink) / REJECTS, job, options)


STEP = PlainStep(config=StagesStep, work=run_stages, job=stages_job, reads_data=True)
