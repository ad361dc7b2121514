"""`captions` and `boxes`: what models add to clips, where models are named. Without a model the step says what it left
out and how a model is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import run_job
from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import sinks_of
from workflows.recipes.run_context import RunContext, from_anywhere
from workflows.steps.step_kind import PlainStep, given_up

STARTER = "starter"


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """`model` is a folder of weights, or "starter"; with `server`, a model of that name on an OpenAI-compatible server
    at that URL. "" leaves the step out. `settings` go to the stage."""

    model: str = ""
    server: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Kind:
    """One step: the stage, what it makes, how a model is named, the labels that it reads, and the stage's settings."""

    stage: str
    name: str
    option: str
    reads: tuple[str, ...]
    settings: Callable[[ModelStep], dict[str, Any]]

    def job(self, context: RunContext, step: ModelStep) -> Job:
        """The job over every unit of the data set."""
        there = {sink.name.removeprefix("labels/") for sink in sinks_of(context.root)}
        labels = tuple(name for name in self.reads if name in there)
        dataset = Dataset.open(context.root, labels=labels)
        return Job(
            name=self.name,
            stages=(("read_unit", {"labels": labels}), (self.stage, {**self.settings(step), **step.settings})),
            units=label_units(dataset),
            sink=f"labels/{self.name}",
            seed=context.seed,
            provides=fields_of(dataset),
        )

    def run(self, context: RunContext, step: ModelStep) -> str:
        """Run it, or say why not."""
        if not step.model:
            clips = len(Dataset.open(context.root).index)
            return f"{self.name}: left out for {clips} clips, no model is named ({self.option})"
        result = run_job(context.root, self.job(context, step), context.options)
        reasons = ", ".join(f"{count} {reason}" for reason, count in result.tally.dropped.most_common())
        without = f"; without: {reasons}" if reasons else ""
        return f"{self.name}: {result.tally.kept} clips{without}{given_up(context.root, result)}"


def _captioner(step: ModelStep) -> dict[str, Any]:
    server = {"server": {"url": step.server}} if step.server else {}
    return {"model": {"model": _named(step), **server}}


def _named(step: ModelStep) -> str:
    return step.model if step.model == STARTER or step.server else from_anywhere(step.model)


_CAPTIONS = _Kind("caption", "captions", "--captioner, --server", (), _captioner)
_BOXES = _Kind("detect", "boxes", "--detector", ("captions",), lambda step: {"model": _named(step)})
CAPTIONS = PlainStep(config=ModelStep, work=_CAPTIONS.run, reads_data=True)
BOXES = PlainStep(config=ModelStep, work=_BOXES.run, reads_data=True)
