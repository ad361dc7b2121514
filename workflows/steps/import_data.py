"""`import`: foreign recordings become episodes of the run's data set."""

from dataclasses import asdict, dataclass, fields

from pipelines.job import Job, Policy, UnitItems
from pipelines.progress.line import reasons
from pipelines.run_job import JobResult
from storage.errors import ConfigError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import embodiments_of, fates_of, inputs_of, list_items, provides_of, resolved
from storage.formats.mapping.fates import fate_table
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import JobStep


@dataclass(frozen=True, kw_only=True)
class ImportStep(ImportConfig):
    """An import (see `storage.formats.import_item.ImportConfig`) as the job `name`. The job ends early when more than
    the share `max_failed` of the recordings failed."""

    name: str = "import"
    max_failed: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.max_failed <= 1:
            raise ConfigError(f"max_failed is the share of recordings that may fail, 0 to 1; got {self.max_failed}")


def import_job(context: RunContext, step: ImportStep) -> Job:
    """The job of an import: one item an episode, grouped into units that fit into one shard each."""
    config = _config(step)
    settings = asdict(config)
    units = list_items(config)
    embodiments = embodiments_of([[dict(item) for item in unit] for unit in units])
    groups = tuple(UnitItems(items=tuple(unit), inputs=inputs_of(unit)) for unit in units)
    return Job(
        name=step.name,
        stages=(("import_episodes", settings),),
        units=groups,
        seed=context.seed,
        provides=provides_of(units),
        embodiments=tuple(embodiments.values()),
        policy=Policy(max_failed_fraction=step.max_failed),
    )


def imported(step: ImportStep, result: JobResult) -> str:
    """How many episodes came in, how many did not, and what became of every column."""
    dropped = result.tally.dropped
    left = f"; {dropped.total()} left out: {reasons(dropped)} (the manifests say more)" if dropped else ""
    return f"imported {result.tally.kept} episodes from {step.path}{left}\n{import_table(step)}"


def import_table(step: ImportStep) -> str:
    """What becomes of every column and stream of the source, for people; from headers alone."""
    return fate_table(fates_of(_config(step)))


def _config(step: ImportStep) -> ImportConfig:
    """The import without what belongs to its job, its mapping read from its file."""
    kept = {each.name: getattr(step, each.name) for each in fields(ImportConfig)}
    return resolved(ImportConfig(**kept))


STEP = JobStep(config=ImportStep, job=import_job, summary=imported)
