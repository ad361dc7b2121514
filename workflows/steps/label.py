"""`label`: a model adds labels to everything that the run's data set holds, as a sidecar."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import JobResult
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, WorkFailedError
from workflows.recipes.run_context import RunContext, from_anywhere
from workflows.steps.step_kind import JobStep

LABELLERS: Mapping[str, str] = {"idm": "idm_label", "lapa": "lapa_label", "features": "context_features"}
"""Kind of label -> its stage in the catalog."""

ADVICE: Mapping[str, str] = {
    "idm": "fit a model on such video (`pyramid fit idm`), or keep flagged steps: `unfamiliar: flag` in the settings of"
    " a recipe's step, or in the file of `pyramid label idm DATASET --config FILE`",
    "lapa": "fit a model on video like this (`pyramid fit lapa DATASET --output MODEL`) and label with it under another"
    " name (`pyramid label lapa DATASET --model MODEL --name own`), or label all the same (`pyramid label lapa DATASET"
    " --force --name forced`)",
}


@dataclass(frozen=True, kw_only=True)
class LabelStep:
    """Label with `model`, a folder of weights, as the sidecar `labels/<name>`. `settings` go to the labeller; those of
    "features" name the encoder themselves.

    `embodiments` limits the labels to units of these; empty means all that have video.
    """

    kind: Literal["idm", "lapa", "features"]
    model: str = ""
    name: str = ""
    embodiments: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sidecar(self) -> str:
        return self.name or self.kind


def label_job(context: RunContext, step: LabelStep) -> Job:
    """The job that labels every unit with video. Raises ConfigError where there is nothing to label."""
    dataset = Dataset.open(context.root)
    units = [unit for unit in dataset.units() if _wanted(dataset, unit, step)]
    if not units:
        embodiments = f" of {', '.join(step.embodiments)}" if step.embodiments else ""
        raise ConfigError(
            f"{context.root} has no episodes with video{embodiments} to label; import or generate some first"
        )
    model = step.model if step.model in ("", "starter") else from_anywhere(step.model)
    named = {"model": model} if model else {}
    return Job(
        name=f"label-{step.sidecar}",
        stages=(("read_unit", {}), (LABELLERS[step.kind], {**named, **step.settings})),
        units=label_units(dataset, units),
        sink=f"labels/{step.sidecar}",
        seed=context.seed,
        provides=fields_of(dataset, units),
    )


def _wanted(dataset: Dataset, unit: str, step: LabelStep) -> bool:
    if not any(name.startswith("video/") for name in dataset.fields(unit)):
        return False
    first, _ = dataset.index.rows_of_unit[unit]
    return not step.embodiments or dataset.index.table["embodiment"][first].as_py() in step.embodiments


def labelled(step: LabelStep, result: JobResult) -> str:
    """How many episodes got labels, where they are, and why others got none. Raises WorkFailedError when none did."""
    tally = result.tally
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(tally.dropped.items()))
    without = f"; without labels: {reasons}" if reasons else ""
    if not tally.kept and tally.dropped:
        raise WorkFailedError(
            f"no episode got a label from {step.model or step.kind}{without}."
            f" labels/{step.sidecar}/manifest says why for each; {ADVICE.get(step.kind, 'look at the drops')}"
        )
    return f"labelled {tally.kept} episodes with {step.model or step.kind} as labels/{step.sidecar}{without}"


STEP = JobStep(config=LabelStep, job=label_job, summary=labelled, reads_data=True)
