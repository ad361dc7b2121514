"""`generate`: multiply the demonstrations of one task until enough trajectories are kept."""

from dataclasses import asdict, dataclass

from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.task.registry import find_task
from generators.simulation.yield_watch import LEAST_RATE
from pipelines.job import Job, Until
from pipelines.run_job import JobResult
from storage.embodiment import embodiment_named
from storage.errors import ConfigError
from workflows.recipes.run_context import RunContext, from_anywhere
from workflows.steps.step_kind import JobStep

KEPT_PER_UNIT = 8


@dataclass(frozen=True, kw_only=True)
class GenerateStep(MultiplyConfig):
    """Exactly `keep` successful trajectories as the job `name`; what else can be set is the stage's `MultiplyConfig`.

    `kept_per_unit` trajectories make one shard: some 64 for a large data set, fewer spread better over workers. `tries`
    is how many attempts one trajectory may take before the yield is looked at again; the job stops when success is
    rarer than `least_rate`, by its 95 % interval.
    """

    keep: int
    name: str = ""
    kept_per_unit: int = KEPT_PER_UNIT
    tries: int = 10
    least_rate: float = LEAST_RATE

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.keep, self.kept_per_unit, self.tries) < 1:
            raise ConfigError(
                f"keep, kept_per_unit and tries must be at least 1; got {self.keep}, {self.kept_per_unit}, {self.tries}"
            )
        if not 0.0 <= self.least_rate < 1.0:
            raise ConfigError(
                "least_rate (--least-rate) is a share of the attempts, 0 (never give up) to below 1; got"
                f" {self.least_rate}"
            )

    @property
    def multiply(self) -> MultiplyConfig:
        """The settings of the stage alone."""
        return MultiplyConfig(**{name: getattr(self, name) for name in MultiplyConfig.__dataclass_fields__})


def generate_job(context: RunContext, step: GenerateStep) -> Job:
    """The job: one item a trajectory, planned in rounds until all are kept."""
    task = find_task(step.task)
    given = {} if step.least_rate == LEAST_RATE else {"least_rate": step.least_rate}
    until = Until(
        kept=step.keep,
        items_per_unit=step.kept_per_unit,
        most_items=20 * step.keep,
        next_items="generators.simulation.plan_attempts:next_attempts",
        settings={"tries": step.tries, **given},
        inputs=step.multiply.inputs(),
    )
    paths = {"task": from_anywhere(step.task) if ".py" in step.task else step.task}
    paths["source_file"] = from_anywhere(step.source_file)
    stages = (("multiply", {**asdict(step.multiply), **paths}),)
    return Job(
        name=step.name or task.name,
        stages=stages,
        until=until,
        seed=context.seed,
        embodiments=(embodiment_named(task.embodiment.name),),
    )


def generated(step: GenerateStep, result: JobResult) -> str:
    """How many trajectories there are, and how many attempts they took."""
    kept, attempts = result.tally.kept, result.tally.kept + result.tally.dropped.total()
    rate = 100 * kept / max(1, attempts)
    return f"generated {kept} trajectories of {find_task(step.task).name} in {attempts} attempts ({rate:.0f} % succeed)"


def known_task(step: GenerateStep) -> None:
    """Raise UnknownNameError or MissingFileError for a task that is not there."""
    find_task(step.task)


STEP = JobStep(config=GenerateStep, job=generate_job, summary=generated, check=known_task)
