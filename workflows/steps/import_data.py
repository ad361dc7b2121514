"""`import`: foreign recordings become episodes of the run's data set."""

from dataclasses import asdict, dataclass

from pipelines.job import Job, UnitItems
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import embodiments_of, inputs_of, list_items, provides_of
from workflows.run_context import RunContext
from workflows.steps.step_kind import StepKind


@dataclass(frozen=True, kw_only=True)
class ImportStep(ImportConfig):
    """An import (see `storage.formats.import_item.ImportConfig`) as the job `name`."""

    name: str = "import"


def import_job(context: RunContext, step: ImportStep) -> Job:
    """The job of an import: one item an episode, grouped into units that fit into one shard each."""
    settings = {key: value for key, value in asdict(step).items() if key != "name"}
    units = list_items(ImportConfig(**{**settings, "videos": step.videos}))
    groups = tuple(UnitItems(items=tuple(unit), inputs=inputs_of(unit)) for unit in units)
    return Job(
        name=step.name,
        stages=(("import_episodes", settings),),
        units=groups,
        seed=context.seed,
        provides=provides_of(units),
    )


def run_import(context: RunContext, step: ImportStep) -> str:
    """Run the import; the embodiments of the recordings are declared in the data set first."""
    job = import_job(context, step)
    items = [[dict(item) for item in unit.items] for unit in job.units]
    context.dataset(*embodiments_of(items).values())
    result = context.run(job)
    return f"imported {result.tally.kept} episodes from {step.path}"


STEP = StepKind(config=ImportStep, run=run_import, job=import_job)
