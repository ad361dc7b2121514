"""`import`: foreign recordings become episodes of the run's data set."""

from dataclasses import asdict, dataclass

from pipelines.job import Job, UnitItems
from pipelines.run_job import JobResult
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import embodiments_of, inputs_of, list_items, provides_of
from workflows.run_context import RunContext
from workflows.steps.step_kind import JobStep


@dataclass(frozen=True, kw_only=True)
class ImportStep(ImportConfig):
    """An import (see `storage.formats.import_item.ImportConfig`) as the job `name`."""

    name: str = "import"


def import_job(context: RunContext, step: ImportStep) -> Job:
    """The job of an import: one item an episode, grouped into units that fit into one shard each."""
    settings = {key: value for key, value in asdict(step).items() if key != "name"}
    units = list_items(ImportConfig(**{**settings, "videos": step.videos}))
    embodiments = embodiments_of([[dict(item) for item in unit] for unit in units])
    groups = tuple(UnitItems(items=tuple(unit), inputs=inputs_of(unit)) for unit in units)
    return Job(
        name=step.name,
        stages=(("import_episodes", settings),),
        units=groups,
        seed=context.seed,
        provides=provides_of(units),
        embodiments=tuple(embodiments.values()),
    )


def imported(step: ImportStep, result: JobResult) -> str:
    """How many episodes came in."""
    return f"imported {result.tally.kept} episodes from {step.path}"


STEP = JobStep(config=ImportStep, job=import_job, summary=imported)
