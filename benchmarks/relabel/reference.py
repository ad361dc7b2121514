"""Training from references in place of pixels: the cost of random windows, and whether the batches are the same.

    python -m benchmarks relabel_reference

Videos of 640x480 at 30 Hz whose key frames are 12, 60 and 250 frames apart, stored at 341x256. Windows of one frame, as
a policy reads them, and of two frames 0.6 s apart, as latent actions are learned from. One epoch of the sampler each.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.relabel.speed import write_long_video
from storage.datasets.dataset import Dataset
from storage.formats.video import source_frames
from storage.formats.video.frame_folder import FOLDER_VARIABLE
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe

BATCH = 32
KEY_FRAMES = (12, 60, 250)
OFFSETS = {"one frame": (0.0,), "a pair": (0.0, 0.6)}


def run(quick: bool) -> dict[str, Any]:
    """Costs over copy mode, CPU of one thread, each pair of contestants in one run."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for every in KEY_FRAMES:
            figures |= _costs(Path(folder) / str(every), every, 30 if quick else 120)
    bars: dict[str, dict[str, float]] = {
        name: {"at_most": 3.0} for name in figures if "cost over copy" in name and "uniformly" not in name
    }
    bars |= {name: {"at_least": 1.0} for name in figures if "to the bit" in name}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _costs(root: Path, every: int, seconds: float) -> dict[str, float]:
    """The figures of one video with a key frame every `every` frames."""
    video = root / "videos" / "video.mp4"
    write_long_video(video, seconds, keyframe_every=every)
    with _frames_in(root / "frames"):
        data = {name: _relabelled(root, video.parent, name) for name in ("copy", "reference")}
    figures: dict[str, float] = {}
    for windows, offsets in OFFSETS.items():
        readers = {name: _windows(dataset, offsets) for name, dataset in data.items()}
        batches = list(WindowSampler(readers["reference"], batch_size=BATCH))
        about = f"key frame every {every}, windows of {windows}"
        with _frames_in(root / "frames"):
            warm = measure.interleaved({name: _reading(each, batches) for name, each in readers.items()}, rounds=3)
        copy_s = warm["copy"].cpu_s
        figures[f"{about}: copy, CPU ms"] = 1000 * copy_s / (len(batches) * BATCH)
        figures[f"{about}: cost over copy as the job leaves it"] = warm["reference"].cpu_s / copy_s
        with _frames_in(root / "elsewhere" / windows):
            first, second = (measure.timed(_reading(readers["reference"], batches)).cpu_s for _ in range(2))
        figures[f"{about}: first epoch on a machine that did not run the job, over copies"] = first / copy_s
        figures[f"{about}: second epoch there, cost over copy"] = second / copy_s
        with _frames_in(None):
            cold = measure.timed(_reading(readers["reference"], batches)).cpu_s
            figures[f"{about}: cost over copy, nothing decoded before"] = cold / copy_s
            source_frames.forget()
            images = [_images(each, batches[0]) for each in readers.values()]
        figures[f"{about}: batches are the same to the bit"] = float(np.array_equal(*images))
    with _frames_in(None):
        figures[f"key frame every {every}: cost over copy, drawn uniformly, nothing decoded before"] = _uniform(data)
    return figures


def _uniform(data: dict[str, Dataset]) -> float:
    """Cost of windows of one frame in an order that does not know of groups of pictures: the first eight batches."""
    readers = {name: _windows(dataset, OFFSETS["one frame"]) for name, dataset in data.items()}
    batches = list(WindowSampler(readers["copy"], batch_size=BATCH))[:8]
    taken = {name: measure.timed(_reading(reader, batches)).cpu_s for name, reader in readers.items()}
    return taken["reference"] / taken["copy"]


@contextmanager
def _frames_in(folder: Path | None) -> Iterator[None]:
    """With a folder of decoded frames, or none, and nothing in memory."""
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(folder or "none")
    source_frames.forget()
    yield
    os.environ.pop(FOLDER_VARIABLE)
    if before is not None:
        os.environ[FOLDER_VARIABLE] = before


def _relabelled(folder: Path, videos: Path, frames: str) -> Dataset:
    root, recipe = folder / frames, folder / f"{frames}.yaml"
    recipe.write_text(f"name: {frames}\nsteps:\n  - watch: {{path: {videos}, frames: {frames}}}\n")
    list(run_recipe(load_recipe(recipe, output=str(root)), RunContext(root=root)))
    return Dataset.open(root)


def _windows(dataset: Dataset, offsets_s: tuple[float, ...]) -> Windows:
    config = WindowConfig(cameras={"view": ("view",)}, horizon_steps=1, observation_offsets_s=offsets_s)
    return Windows([Source(dataset=dataset, action="")], config)


def _images(reader: Windows, numbers: list[int]) -> Any:
    return reader.__getitems__(numbers)["images"]["view"]


def _reading(reader: Windows, numbers: list[list[int]]) -> Any:
    def read() -> None:
        source_frames.forget()
        for batch in numbers:
            reader.__getitems__(batch)

    return read
