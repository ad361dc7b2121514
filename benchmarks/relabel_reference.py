"""Training from references in place of pixels: the cost of random windows, and whether the batches are the same.

python -m benchmarks relabel_reference
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.relabel_speed import write_long_video
from storage.datasets.dataset import Dataset
from storage.formats.video import source_frames
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe

BATCH = 32


def run(quick: bool) -> dict[str, Any]:
    """CPU milliseconds a window of one frame, from copies and from references without and with a folder of frames."""
    batches = 6 if quick else 20
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "videos" / "video.mp4"
        write_long_video(video, 60)
        readers = {name: _windows(Path(folder), video.parent, name) for name in ("copy", "reference")}
        random = np.random.default_rng(0)
        numbers = [random.integers(0, len(readers["copy"]), BATCH).tolist() for _ in range(batches)]
        first = measure.timed(lambda: _read(readers["reference"], numbers))
        os.environ[source_frames.CACHE_VARIABLE] = str(Path(folder) / "cache")
        source_frames.forget()
        filling = measure.timed(lambda: _read(readers["reference"], numbers))
        taken = measure.interleaved({name: _reading(reader, numbers) for name, reader in readers.items()}, rounds=5)
        source_frames.forget()
        from_disk = measure.timed(lambda: _read(readers["reference"], numbers))
        same = all(np.array_equal(*(_images(readers[name], each) for name in readers)) for each in numbers[:3])
        del os.environ[source_frames.CACHE_VARIABLE]
    each = 1000 / (batches * BATCH)
    figures = {
        "windows": float(batches * BATCH),
        "copy, CPU ms a window": each * taken["copy"].cpu_s,
        "reference, every frame decoded before, CPU ms": each * taken["reference"].cpu_s,
        "reference, from the folder of frames, CPU ms": each * from_disk.cpu_s,
        "reference, nothing decoded before, CPU ms": each * first.cpu_s,
        "the same while filling the folder, CPU ms": each * filling.cpu_s,
        "cost over copy, every frame decoded before": taken["reference"].cpu_s / taken["copy"].cpu_s,
        "cost over copy, from the folder of frames": from_disk.cpu_s / taken["copy"].cpu_s,
        "cost over copy, nothing decoded before": first.cpu_s / taken["copy"].cpu_s,
        "batches are the same to the bit": float(same),
    }
    bars: dict[str, dict[str, float]] = {
        "cost over copy, from the folder of frames": {"at_most": 3.0},
        "cost over copy, every frame decoded before": {"at_most": 3.0},
        "batches are the same to the bit": {"at_least": 1.0},
    }
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _windows(folder: Path, videos: Path, frames: str) -> Windows:
    recipe = folder / f"{frames}.yaml"
    recipe.write_text(f"name: {frames}\nsteps:\n  - watch: {{path: {videos}, frames: {frames}}}\n")
    root = folder / frames
    list(run_recipe(load_recipe(recipe, output=str(root)), RunContext(root=root)))
    config = WindowConfig(cameras={"view": ("view",)}, horizon_steps=1)
    return Windows([Source(dataset=Dataset.open(root), action="")], config)


def _images(reader: Windows, numbers: list[int]) -> Any:
    return reader.__getitems__(numbers)["images"]["view"]


def _read(reader: Windows, numbers: list[list[int]]) -> None:
    for batch in numbers:
        reader.__getitems__(batch)


def _reading(reader: Windows, numbers: list[list[int]]) -> Any:
    return lambda: _read(reader, numbers)
