"""`dream`: neural trajectories from first frames and prompts."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from generators.neural.clip_shape import ClipShape, cut_clip
from generators.neural.dream_config import GenerateClipsConfig
from generators.neural.first_frames.reference import IMAGE_SUFFIXES, FirstFrame, frames_of_dataset, frames_of_folder
from generators.neural.motion import SpeedCheck, speed_heights_s
from generators.neural.prompts.prompt_file import PromptSet, prompts_of
from pipelines.job import Job, UnitItems
from pipelines.run_job import run_job
from storage.datasets.dataset import Dataset
from storage.embodiment import Embodiment, embodiment_named
from storage.errors import ConfigError, MissingFileError, WorkFailedError
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep

log = logging.getLogger(__name__)
OWN_DATA = "@dataset"


@dataclass(frozen=True, kw_only=True)
class DreamStep(GenerateClipsConfig):
    """Clips from the first frames of `source` (a data set, a folder of pictures, or "@dataset": the run's own data).

    `prompts` is "own" (the recorded instruction), "all" (every instruction of the data set on every first frame) or a
    file (see `generators.neural.prompts.prompt_file`). `count` clips are made (0: one for each frame and prompt), the
    first frames being `steps_at` of the episodes, through `cameras` (several: a 2 x 2 grid). `clips_per_unit` is how
    much is lost when a worker dies. `embodiment` says whose pictures a folder holds.
    """

    name: str = "dream"
    prompts: str = "own"
    count: int = 0
    cameras: tuple[str, ...] = ()
    steps_at: tuple[int, ...] = (0,)
    clips_per_unit: int = 8
    embodiment: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 0 or self.clips_per_unit < 1 or min(self.steps_at, default=-1) < 0:
            raise ConfigError(
                "dream needs count of 0 or more, clips_per_unit of 1 or more and steps_at of 0 or more; got"
                f" {self.count}, {self.clips_per_unit}, {self.steps_at}"
            )

    @property
    def stage(self) -> GenerateClipsConfig:
        """The settings of the stage alone."""
        return GenerateClipsConfig(**{name: getattr(self, name) for name in GenerateClipsConfig.__dataclass_fields__})


def dream_job(context: RunContext, step: DreamStep) -> Job:
    """The job: one item a clip."""
    source = context.root if step.source == OWN_DATA else Path(step.source)
    frames, embodiment = first_frames(source, step)
    items = list(items_of(frames, prompts_of(step.prompts, frames), count=step.count))
    each = step.clips_per_unit
    inputs = step.stage.inputs()
    units = tuple(UnitItems(items=tuple(items[at : at + each]), inputs=inputs) for at in range(0, len(items), each))
    settings = asdict(step.stage) | {"source": step.source if step.source == OWN_DATA else str(source.resolve())}
    cameras = {f"video/{camera}" for frame in frames for camera in frame.cameras}
    return Job(
        name=step.name,
        stages=(("generate_clips", settings),),
        units=units,
        seed=context.seed,
        provides=frozenset({*cameras, "instruction", "provenance"}),
        embodiments=(embodiment,),
    )


def first_frames(source: Path, step: DreamStep) -> tuple[list[FirstFrame], Embodiment]:
    """The first frames of a source, and whose they are. Raises MissingFileError, ConfigError."""
    if not source.is_dir():
        raise MissingFileError(f"no data set or folder of pictures {source}")
    if (source / "dataset.json").is_file():
        frames = frames_of_dataset(
            Dataset.open(source),
            count=step.count,
            cameras=step.cameras,
            steps=step.steps_at,
            embodiment=step.embodiment,
        )
        embodiments = sorted({frame.embodiment for frame in frames})
        if len(embodiments) != 1:
            known = ", ".join(embodiments) or "no episodes with video"
            raise ConfigError(f"clips of one embodiment are made at a time; {source} has {known}: choose by embodiment")
        return frames, embodiment_named(embodiments[0])
    if not any(path.suffix.lower() in IMAGE_SUFFIXES for path in source.iterdir()):
        raise MissingFileError(
            f"{source} is neither a data set nor a folder of pictures; recordings in other formats come in by"
            " `pyramid data import`"
        )
    if not step.embodiment:
        raise ConfigError(f"{source} is a folder of pictures: say by embodiment whose they are, for example panda")
    camera = step.cameras[0] if step.cameras else "camera"
    return frames_of_folder(source, embodiment=step.embodiment, camera=camera), embodiment_named(step.embodiment)


def items_of(frames: Sequence[FirstFrame], prompts: PromptSet, *, count: int) -> Iterator[dict[str, Any]]:
    """The items: every prompt of every frame, frame by frame in turns; more than there are pairs begin anew with other
    noise."""
    pairs = [(frame, rounds) for frame in frames for rounds in prompts.of(frame)]
    if not pairs:
        raise ConfigError("there is nothing to make: no first frame has a prompt")
    if count and count < len(pairs):
        pairs = _spread(pairs, frames)
    endless = (
        {
            "frame": frame.to_json(),
            "prompts": list(rounds),
            "origins": [prompts.origin] * len(rounds),
            "number": number,
        }
        for number in range(max(count // len(pairs) + 1, 1))
        for frame, rounds in pairs
    )
    return islice(endless, count or len(pairs))


def _spread(pairs: list[tuple[FirstFrame, Any]], frames: Sequence[FirstFrame]) -> list[tuple[FirstFrame, Any]]:
    """Pairs in turns over the frames: the first prompt of each, then the second of each. Each frame begins with
    another of its prompts, so that few clips still speak of many things."""
    by_frame = [[pair for pair in pairs if pair[0] is frame] for frame in frames]
    turned = [own[shift % len(own) :] + own[: shift % len(own)] for shift, own in enumerate(by_frame) if own]
    most = max(map(len, turned))
    return [own[turn] for turn in range(most) for own in turned if turn < len(own)]


def run_dream(context: RunContext, step: DreamStep) -> str:
    """Run the job, then compare the speed of motion with that of the source."""
    result = run_job(context.root, dream_job(context, step), context.options)
    dropped = ", ".join(f"{count} {reason}" for reason, count in result.tally.dropped.items())
    if not result.tally.kept:
        raise WorkFailedError(
            f"no clip came of {step.model}: {f'dropped {dropped}' if dropped else 'every unit failed'}; the manifests"
            f" and the folder failed of {context.root} say more"
        )
    line = f"dreamed {result.tally.kept} clips with {step.model}" + (f"; dropped {dropped}" if dropped else "")
    check = speed_check(context, step)
    if check is None:
        return line + "; no recorded motion to compare their speed with"
    finding = check.finding
    if finding:
        log.warning("%s", finding)
    return f"{line}; speed of motion {check.ratio:.2f} of the source's" + (f": {finding}" if finding else "")


def speed_check(context: RunContext, step: DreamStep, *, most: int = 32) -> SpeedCheck | None:
    """The speed of the clips that are there over that of the source's episodes, cut to the same length, rate and size;
    None where the source holds no motion."""
    source = context.root if step.source == OWN_DATA else Path(step.source)
    made = [each for each in Dataset.open(context.root).episodes() if "neural" in each.provenance]
    if not made or not (source / "dataset.json").is_file():
        return None
    camera, frames = next(iter(made[0].cameras.items()))
    shape = ClipShape(
        frames=min(each.length for each in made),
        height_px=frames.height_px,
        width_px=frames.width_px,
        rate_hz=made[0].rate_hz,
    )
    recorded = (each for each in Dataset.open(source).episodes() if each.layer != "neural" and camera in each.cameras)
    clips = [cut_clip(each, camera, shape) for each in islice(recorded, most) if each.length > 1]
    if not clips:
        return None
    return SpeedCheck.of(
        [speed_heights_s(cut_clip(each, camera, shape), rate_hz=shape.rate_hz) for each in made[:most]],
        [speed_heights_s(clip, rate_hz=shape.rate_hz) for clip in clips],
    )


STEP = PlainStep(config=DreamStep, work=run_dream, job=dream_job, reads_data=True)
