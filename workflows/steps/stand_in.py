"""`stand_in`: simulated pictures in the place of a layer that nobody named data for, and a note that says so.

Everything goes the way of the real thing: a film without actions is watched like human video, a LeRobot folder is
imported like teleoperation. Only what is in them was made in simulation.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.run_job import run_job
from storage.atomic_files import json_bytes, read_json, write_whole
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, MissingFileError, UnknownNameError
from workflows.recipes.run_context import RunContext
from workflows.steps.generate import GenerateStep, generate_job
from workflows.steps.import_data import ImportStep, import_job
from workflows.steps.relabelling.watch import WatchStep, watch_job
from workflows.steps.step_kind import PlainStep, given_up

FOLDER = "stand-ins"
NOTES = "stand-ins.json"
"""In the data set: layer -> what stands in there, for the page."""
JOB_PREFIX = "stand-in-"
"""How the jobs are called that bring stand-ins into the data set."""
CAMERA = "agentview"


@dataclass(frozen=True, kw_only=True)
class StandInStep:
    """`count` successes of `task` stand in for the layer `layer`: "human" as films without actions, "real" as a LeRobot
    folder with them. `instead` tells people how to bring their own, for example "set VIDEOS to a folder"."""

    layer: Literal["human", "real"]
    task: str = "lift"
    placement: str = "D1"
    count: int = 3
    size_px: int = 128
    instead: str = ""

    def __post_init__(self) -> None:
        if self.layer not in WAYS:
            raise UnknownNameError.among("layer to stand in for", self.layer, WAYS)
        if self.count < 1 or self.size_px < 32:
            raise ConfigError(
                f"stand_in needs a count of at least 1 and pictures of at least 32 px; got {self.count}, {self.size_px}"
            )


def run_stand_in(context: RunContext, step: StandInStep) -> str:
    """Generate beside the run's data set, write that as a stranger would bring it, and take it in."""
    context.dataset()
    beside = RunContext(root=context.root / FOLDER / step.layer, seed=_seed(context, step), options=context.options)
    made = GenerateStep(
        name="made", task=step.task, placement=step.placement, keep=step.count, size_px=step.size_px, cameras=(CAMERA,)
    )
    run_job(beside.root, generate_job(beside, made), context.options)
    kept = WAYS[step.layer](context, beside.root, step)
    note = f"{step.count} {_FORM[step.layer]} made in simulation ({step.task}, {step.placement}), a stand-in"
    note += f"; {step.instead}" if step.instead else ""
    write_whole(context.root / NOTES, json_bytes({**stand_ins(context.root), step.layer: note}))
    return f"layer {step.layer}: {note}; {kept}"


def stand_ins(root: Path) -> Mapping[str, str]:
    """Layer -> what stands in for it in the data set in `root`."""
    try:
        return read_json(root / NOTES)
    except MissingFileError:
        return {}


def _seed(context: RunContext, step: StandInStep) -> int:
    """Another for each layer, and than the run's own, so that no trajectory is there twice."""
    return context.seed + 1000 + sorted(WAYS).index(step.layer)


def _as_films(context: RunContext, made: Path, step: StandInStep) -> str:
    """Each trajectory as an mp4 with its instruction as the caption; what the arm did is left away."""
    from storage.formats.video.writer import write_frames

    films = made.with_name(f"{made.name}-films")
    films.mkdir(exist_ok=True)
    lines = []
    for number, episode in enumerate(Dataset.open(made).episodes()):
        path, temporary = films / f"film-{number}.mp4", films / f".film-{number}.part"
        lines.append(json.dumps({"file": path.name, "caption": episode.instruction}))
        if not path.exists():
            write_frames(episode.cameras[CAMERA], temporary, rate_hz=episode.rate_hz)
            temporary.replace(path)
    write_whole(films / "captions.jsonl", "".join(f"{line}\n" for line in lines).encode())
    watch = WatchStep(name=f"{JOB_PREFIX}video", path=str(films))
    result = run_job(context.root, watch_job(context, watch), context.options)
    return f"found {result.tally.kept} clips{given_up(context.root, result)}"


def _as_recordings(context: RunContext, made: Path, step: StandInStep) -> str:
    """All of them as LeRobot, what a laboratory's recordings come in."""
    from workflows.datasets.export import export_dataset

    recordings = made.with_name(f"{made.name}-lerobot")
    if not recordings.exists():
        export_dataset(made, recordings)
    wanted = ImportStep(name=f"{JOB_PREFIX}real", path=str(recordings), layer="real")
    result = run_job(context.root, import_job(context, wanted), context.options)
    return f"imported {result.tally.kept} episodes{given_up(context.root, result)}"


WAYS: Mapping[str, Callable[[RunContext, Path, StandInStep], str]] = {"human": _as_films, "real": _as_recordings}
_FORM: Mapping[str, str] = {"human": "films without actions", "real": "recordings"}
STEP = PlainStep(config=StandInStep, work=run_stand_in)
