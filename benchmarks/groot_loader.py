"""The training loader: windows a second without workers, with two through shared memory, with two of torch's own."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks import measure
from benchmarks.storage_scene import camera_images
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.frames import Frames
from storage.testing import write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.shared_batches import SharedBatches
from storage.training_reader.windows import Windows, as_it_is

BARS = {"two workers over none": {"at_least": 1.7}}
BATCH, SIZE_PX, WORKERS = 32, 128, 2
CAMERAS = ("front", "wrist")


def run(quick: bool) -> dict[str, Any]:
    """Two cameras of 128x128, a state, chunks of 16, batches of 32; the consumer is a torch DataLoader."""
    units, steps, batches, rounds = (2, 200, 20, 3) if quick else (6, 400, 120, 5)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        windows = _windows(Path(folder) / "data", units=units, steps=steps)
        sampler = WindowSampler(windows, batch_size=BATCH)
        contestants: dict[str, Callable[[], float]] = {
            "none": lambda: _rate(_alone(windows, sampler), batches),
            "shared memory": lambda: _rate(_shared(windows, sampler), batches),
            "torch": lambda: _rate(_torch(windows, sampler), batches),
            "decoding alone": lambda: _decoding_rate(windows, sampler, batches),
        }
        seen: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, work in contestants.items():
                seen[name].append(work())
    rates = {name: median(values) for name, values in seen.items()}
    figures = {
        "windows a second, no worker": rates["none"],
        "windows a second, 2 workers, shared memory": rates["shared memory"],
        "windows a second, 2 workers of torch": rates["torch"],
        "two workers over none": median(
            shared / alone for shared, alone in zip(seen["shared memory"], seen["none"], strict=True)
        ),
        "torch's workers over none": median(
            theirs / alone for theirs, alone in zip(seen["torch"], seen["none"], strict=True)
        ),
        "share of JPEG decoding without workers": rates["none"] / rates["decoding alone"],
        "load of the machine": os.getloadavg()[0],
    }
    bars = {} if quick else BARS
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _windows(root: Path, *, units: int, steps: int) -> Windows:
    Dataset.create(root, name="loader")
    for unit in range(units):
        random = np.random.default_rng(unit)
        cameras = {}
        for place, camera in enumerate(CAMERAS):
            images = [cv2.resize(image, (SIZE_PX, SIZE_PX)) for image in camera_images(steps, seed=unit * 7 + place)]
            cameras[camera] = Frames.encode(images, "jpeg")
        arrays = {
            "state": random.normal(size=(steps, 18)).astype(np.float32),
            "action/ground_truth": random.normal(size=(steps, 7)).astype(np.float32),
        }
        write_unit(
            root,
            [
                Episode(
                    episode_id=f"{unit:032x}",
                    layer="simulation",
                    embodiment="panda",
                    length=steps,
                    rate_hz=20.0,
                    cameras=cameras,
                    arrays=arrays,
                )
            ],
        )
    config = WindowConfig(cameras={name: (name,) for name in CAMERAS}, horizon_steps=16)
    return Windows([Source(dataset=Dataset.open(root))], config)


def _rate(batches: Iterator[Any], count: int) -> float:
    """Windows a second after a few batches of warming up."""
    for _ in range(4):
        next(batches)
    began_s = time.perf_counter()
    for _ in range(count):
        batch = next(batches)
        assert batch["action"].shape[0] == BATCH
    passed_s = time.perf_counter() - began_s
    close: Callable[[], None] | None = getattr(batches, "close", None)
    if close:
        close()
    return count * BATCH / passed_s


def _alone(windows: Windows, sampler: WindowSampler) -> Iterator[Any]:
    number = 0
    while True:
        yield windows.__getitems__(sampler.batch(number))
        number += 1


def _shared(windows: Windows, sampler: WindowSampler) -> Iterator[Any]:
    with SharedBatches(
        lambda number, zeros: windows.batch(sampler.batch(number), zeros=zeros), workers=WORKERS
    ) as batches:
        stream: Any = _Stream(batches)
        yield from iter(DataLoader(stream, batch_size=None))


class _Stream(torch.utils.data.IterableDataset[Any]):
    def __init__(self, batches: SharedBatches) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)


def _torch(windows: Windows, sampler: WindowSampler) -> Iterator[Any]:
    def numbers() -> Iterator[list[int]]:
        number = 0
        while True:
            yield sampler.batch(number)
            number += 1

    dataset: Any = windows
    chosen: Any = numbers()
    collate: Any = as_it_is
    yield from DataLoader(dataset, batch_sampler=chosen, num_workers=WORKERS, collate_fn=collate)


def _decoding_rate(windows: Windows, sampler: WindowSampler, count: int) -> float:
    """Windows a second if nothing but their pictures were decoded."""
    frames = []
    for number in range(count):
        for place in windows.table.places(sampler.batch(number)):
            source, unit = windows.table.units[place.unit]
            shard = windows.sources[source].dataset.shard(unit)
            frames += [bytes(shard.frame(camera, place.start + place.first + place.nth)) for camera in CAMERAS]
    from storage.frames import frame_codec

    codec, out = frame_codec("jpeg"), np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    began_s = time.perf_counter()
    for frame in frames:
        codec.decode_into(frame, out)
    return count * BATCH / (time.perf_counter() - began_s)
