"""`watch`: videos without actions become clips with labels and verdicts, each file decoded once."""

from dataclasses import asdict, dataclass, fields

from judges.curation.watch_config import WatchConfig
from pipelines.job import Job, Policy, UnitItems
from pipelines.run_job import JobResult
from storage.embodiment import embodiment_named
from storage.errors import ConfigError, WorkFailedError
from storage.formats.human_video.list_segments import ListingConfig, list_segments
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import JobStep

_PROVIDED = frozenset({"source_frame", "source_time", "timestamp", "label/camera_motion", "label/motion", "video"})


@dataclass(frozen=True, kw_only=True)
class WatchStep(WatchConfig, ListingConfig):
    """What to read (see `storage.formats.human_video.list_segments.ListingConfig`) and what to make of it (see
    `judges.curation.watch_config.WatchConfig`), as the job `name`."""

    name: str = "watch"

    def __post_init__(self) -> None:
        ListingConfig.__post_init__(self)
        WatchConfig.__post_init__(self)

    @property
    def listing(self) -> ListingConfig:
        return ListingConfig(**{each.name: getattr(self, each.name) for each in fields(ListingConfig)})

    @property
    def watching(self) -> WatchConfig:
        return WatchConfig(**{each.name: getattr(self, each.name) for each in fields(WatchConfig)})


def watch_job(context: RunContext, step: WatchStep) -> Job:
    """The job: segments of files, planned from their headers. Bad files become rejects and never end the run."""
    units = list_segments(step.listing)
    if step.blur_faces and step.frames == "auto" and not all(item["may_copy"] for unit in units for item in unit):
        raise ConfigError(
            f"{step.path} may not be copied by its licence, so its shards hold references, whose faces cannot be "
            "blurred; frames: copy says that you may copy all the same"
        )
    return Job(
        name=step.name,
        stages=(("watch_video", asdict(step.watching)),),
        units=tuple(
            UnitItems(items=tuple(unit), inputs={item["file"]: item["mark"] for item in unit}) for unit in units
        ),
        seed=context.seed,
        provides=_PROVIDED,
        embodiments=tuple(embodiment_named(name) for name in (step.embodiment, step.hand_embodiment)),
        policy=Policy(max_failed_fraction=1.0),
    )


def watched(step: WatchStep, result: JobResult) -> str:
    """How many clips were found, and what was left out. Raises WorkFailedError where there is no clip at all."""
    tally = result.tally
    lost = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common())
    if not tally.kept:
        raise WorkFailedError(
            f"no clip was found in {step.path}; left out: {lost or 'everything'}; see `pyramid report`"
        )
    return f"found {tally.kept} clips in {step.path}; left out: {lost or 'nothing'}"


STEP = JobStep(config=WatchStep, job=watch_job, summary=watched)
