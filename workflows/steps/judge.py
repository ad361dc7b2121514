"""`judge`: verdicts about everything that the run's data set holds, as a sidecar; the data set keeps everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import JobResult
from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import sinks_of
from storage.errors import ConfigError
from workflows.recipes.run_context import RunContext, from_anywhere
from workflows.steps.step_kind import JobStep

JUDGES: Mapping[str, str] = {
    "rules": "judge_rules",
    "model": "judge_model",
    "recaption": "recaption",
    "execution": "judge_execution",
}
"""Kind of judge -> its stage in the catalog."""
_READS: Mapping[str, tuple[str, ...]] = {
    "rules": (),
    "model": ("rules",),
    "recaption": ("rules", "model"),
    "execution": ("idm",),
}
"""Kind of judge -> sidecars that it reads where they are there: earlier verdicts, or labels."""


@dataclass(frozen=True, kw_only=True)
class JudgeStep:
    """Verdicts of one kind of judge as the sidecar `labels/<name>` (by default the kind's own name).

    `labels` are the sidecars whose verdicts and labels the judge sees, () for the usual ones: what the rules reject
    costs no model. `embodiments` limits it to units of these, () for all that have video. `settings` go to the stage.
    """

    kind: Literal["rules", "model", "recaption", "execution"]
    name: str = ""
    labels: tuple[str, ...] = ()
    embodiments: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sidecar(self) -> str:
        return self.name or self.kind


def judge_job(context: RunContext, step: JudgeStep) -> Job:
    """The job that judges every unit with video. Raises ConfigError where there is nothing to judge."""
    there = {sink.name.removeprefix("labels/") for sink in sinks_of(context.root) if sink.is_labels}
    labels = step.labels or tuple(name for name in _READS[step.kind] if name in there)
    dataset = Dataset.open(context.root, labels=labels)
    units = [unit for unit in dataset.units() if _wanted(dataset, unit, step)]
    if not units:
        raise ConfigError(f"{context.root} has no episodes with video to judge; import or generate some first")
    settings = dict(step.settings)
    if "parents" in settings:
        settings["parents"] = [from_anywhere(each) for each in settings["parents"]]
    return Job(
        name=f"judge-{step.sidecar}",
        stages=(("read_unit", {"labels": labels}), (JUDGES[step.kind], settings)),
        units=label_units(dataset, units),
        sink=f"labels/{step.sidecar}",
        seed=context.seed,
        provides=fields_of(dataset, units),
    )


def _wanted(dataset: Dataset, unit: str, step: JudgeStep) -> bool:
    first, _ = dataset.index.rows_of_unit[unit]
    embodiment = dataset.index.table["embodiment"][first].as_py()
    seen = any(name.startswith("video/") for name in dataset.fields(unit))
    return seen and (not step.embodiments or embodiment in step.embodiments)


def judged(step: JudgeStep, result: JobResult) -> str:
    """How many episodes got verdicts, and why the others have none."""
    spared = ", ".join(f"{count} {reason}" for reason, count in result.tally.dropped.most_common())
    return f"judged {result.tally.kept} episodes as labels/{step.sidecar}" + (f" (without: {spared})" if spared else "")


STEP = JobStep(config=JudgeStep, job=judge_job, summary=judged, reads_data=True)
