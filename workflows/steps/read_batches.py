"""`read_batches`: read the data set back as training batches, to see that it trains and how fast it reads."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep

FILE = "training_read.json"


@dataclass(frozen=True, kw_only=True)
class ReadBatchesStep:
    """Windows of one frame for each view, the state and a chunk of `horizon_steps` actions, over every embodiment.

    `cameras` maps a view to the cameras that may fill it; empty: one view from each episode's first camera.
    `selection` names the episodes to read from, "" for all.
    """

    selection: str = ""
    batches: int = 20
    batch_size: int = 32
    horizon_steps: int = 16
    size_px: tuple[int, int] = (128, 128)

    def __post_init__(self) -> None:
        if self.batches < 1 or self.batch_size < 1:
            raise ConfigError(f"batches and batch_size must be at least 1; got {self.batches} and {self.batch_size}")


def run_read_batches(context: RunContext, step: ReadBatchesStep) -> str:
    """Read the batches and write what they were to `training_read.json`, which the report shows."""
    dataset = Dataset.open(context.root, selection=step.selection)
    first_cameras = sorted({sorted(layout["cameras"])[0] for layout in dataset.index.layouts if layout.get("cameras")})
    config = WindowConfig(
        cameras={"view": tuple(first_cameras)} if first_cameras else {},
        horizon_steps=step.horizon_steps,
        size_px=step.size_px if first_cameras else None,
    )
    windows = Windows([Source(dataset=dataset)], config)
    sampler = WindowSampler(windows, batch_size=step.batch_size, seed=context.seed)
    seen: Counter[str] = Counter()
    shapes: dict[str, Any] = {}
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    for _, numbers in zip(range(step.batches), sampler, strict=False):
        batch = windows.__getitems__(numbers)
        seen.update(windows.embodiments[code] for code in batch["embodiment"].tolist())
        shapes = {
            "images": {view: list(images.shape) for view, images in batch["images"].items()},
            "state": list(batch["state"].shape),
            "action": list(batch["action"].shape),
        }
    read = sum(seen.values())
    cpu_ms = 1000 * (time.process_time() - began_cpu_s) / read
    record = {
        "windows in the data set": len(windows),
        "windows read": read,
        "by embodiment": dict(seen),
        "shapes of a batch": shapes,
        "CPU per window": f"{cpu_ms:.2f} ms",
        "windows per second": round(read / (time.perf_counter() - began_s)),
    }
    write_whole(context.root / FILE, json_bytes(record))
    return f"read {read} training windows of {len(windows)}, {cpu_ms:.2f} ms CPU each"


STEP = PlainStep(config=ReadBatchesStep, work=run_read_batches)
