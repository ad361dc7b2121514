"""`fit`: a model is fitted to episodes that earlier steps made, as an artifact of the run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.job import with_dataset
from storage.atomic_files import write_whole
from storage.errors import ConfigError, UnknownNameError
from workflows.models import fit_and_evaluate
from workflows.recipes.artifacts import artifact
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep


def fit_policy(
    datasets: Sequence[Path], output: Path, *, preset: str, steps: int, settings: Mapping[str, Any], selection: str
) -> str:
    """Fit the shared model. `settings` are a training recipe, in which "@dataset" stands for the run's data set; with
    `mixture: {sources: ...}` those are trained on in place of the whole data set. Roll-outs are the step `evaluate`."""
    from workflows.models.training import fit_groot

    recipe = output / "settings.yaml"
    write_whole(recipe, yaml.safe_dump(with_dataset(dict(settings), datasets[0])).encode())
    own = "sources" in settings.get("mixture", {})
    if own and selection:
        raise ConfigError("a fit of groot with sources of its own names selections there, not by of or selection")
    return fit_groot(
        [] if own else datasets,
        output,
        preset=preset,
        recipe=recipe,
        steps=steps,
        selection=selection,
        roll_outs=0,
    )


FITTERS: Mapping[str, Callable[..., str]] = {
    "idm": fit_and_evaluate.fit_idm,
    "lapa": fit_and_evaluate.fit_lapa,
    "groot": fit_policy,
}
"""Kind of model -> what fits it: (data sets, output folder, preset, steps, settings, selection) -> lines for people."""


@dataclass(frozen=True, kw_only=True)
class FitStep:
    """Fit a model of `kind` to the episodes of the jobs `of`, and keep it as `models/<name>` of the run.

    Later steps take it as the model "@dataset/models/<name>". It is fitted once: again only when the episodes or these
    settings change. `selection` is taken where `of` is empty; with neither all episodes count, and then no later step
    may add any.
    """

    kind: str
    name: str = ""
    preset: str = "starter"
    steps: int = 0
    of: tuple[str, ...] = ()
    selection: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in FITTERS:
            raise UnknownNameError.among("kind of model", self.kind, FITTERS)
        if self.of and self.selection:
            raise ConfigError(f"give of or selection, not both; got {list(self.of)} and {self.selection!r}")

    @property
    def artifact(self) -> str:
        return self.name or self.kind


def run_fit(context: RunContext, step: FitStep) -> str:
    """Fit, or take the model that was fitted to the same before."""
    selection = select_jobs(context.root, f"for-{step.artifact}", step.of) if step.of else step.selection
    inputs = {
        "episodes": episodes_hash(context.root, selection),
        "labels": labels_hash(context.root) if step.kind == "groot" else "",
        "seed": context.seed,
        **asdict(step),
    }

    def make(folder: Path) -> str:
        settings = {"preset": step.preset, "steps": step.steps, "settings": step.settings, "selection": selection}
        return FITTERS[step.kind]([context.root], folder, **settings)

    made = artifact(context.root, step.artifact, inputs, make)
    return made.line if made.fresh else f"models/{step.artifact} is fitted to these episodes already: {made.line}"


def select_jobs(root: Path, name: str, jobs: tuple[str, ...]) -> str:
    """Write the selection `name` of all episodes that `jobs` of the data set made; returns its name."""
    from storage.datasets.dataset import Dataset
    from storage.datasets.plan import plan_files, read_plan
    from storage.datasets.unit_paths import SHARDS
    from storage.verdicts.selection import Selection, SelectionPolicy, write_selection

    dataset = Dataset.open(root)
    job_of = {unit.unit_id: unit.job for path in plan_files(root) for unit in read_plan(path) if unit.sink == SHARDS}
    for job in jobs:
        if job not in job_of.values():
            raise UnknownNameError.among(f"job of {root}", job, set(job_of.values()))
    units = [dataset.index.units[number] for number in dataset.index.unit_of_row]
    ids = dataset.index.table["episode_id"].to_pylist()
    kept = [episode for episode, unit in zip(ids, units, strict=True) if job_of.get(unit) in jobs]
    write_selection(root, Selection(name=name, policy=SelectionPolicy(), episodes=tuple(sorted(kept))))
    return name


def episodes_hash(root: Path, selection: str) -> str:
    """What the episodes that a fit reads are known by."""
    from storage.datasets.dataset import Dataset
    from storage.ids import content_id

    dataset = Dataset.open(root, selection=selection)
    episodes = dataset.index.row_of_episode if dataset.selected is None else dataset.selected
    return content_id(sorted(episodes), sorted(dataset.units()) if dataset.selected is None else selection)


def labels_hash(root: Path) -> str:
    """What the labels of the data set are known by: their units, and the settings and models that made them."""
    from storage.datasets.manifest import read_manifests
    from storage.datasets.unit_paths import sinks_of
    from storage.ids import content_id

    sinks = [sink for sink in sinks_of(root) if sink.is_labels]
    return content_id(
        [(sink.name, [(each.unit_id, each.config_hash) for each in read_manifests(sink)]) for sink in sinks]
    )


STEP = PlainStep(config=FitStep, work=run_fit, reads_data=True)
