"""The training loader: windows a second without workers, with two through shared memory, with two of torch's own; and
lerobot 0.3 with torchcodec on the exported copy, in an environment that has them."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks import measure
from benchmarks.storage.scene import camera_images
from groot.fit import as_tensors
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.formats.lerobot.exporter import export_lerobot
from storage.frames import Frames
from storage.testing import write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.shared_batches import SharedBatches
from storage.training_reader.windows import Windows, as_it_is

BARS = {"two workers over none, shared, by CPU time": {"at_least": 1.7}}
BATCH, SIZE_PX, WORKERS = 32, 128, 2
CAMERAS = ("front", "wrist")


@dataclass(frozen=True)
class _Seen:
    """Windows a second on the clock, and CPU milliseconds of a batch here and in the workers."""

    rate: float
    here_ms: float
    workers_ms: float

    @property
    def both_ms(self) -> float:
        return self.here_ms + self.workers_ms

    @property
    def cores_needed_ms(self) -> float:
        """What a batch takes on two cores that have nothing else to do."""
        return max(self.here_ms, self.both_ms / 2)


def run(quick: bool) -> dict[str, Any]:
    """Two cameras of 128x128, a state, chunks of 16, batches of 32; the consumer is a torch DataLoader.

    Ratios are given twice: on the clock, and by CPU time, which other programs on the machine disturb less.
    """
    units, steps, batches, rounds = (2, 200, 20, 3) if quick else (3, 250, 100, 3)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        windows = _windows(Path(folder) / "data", units=units, steps=steps)
        sampler = WindowSampler(windows, batch_size=BATCH)
        contestants: dict[str, Callable[[], _Seen]] = {
            "none": lambda: _watched(_alone(windows, sampler), batches),
            "shared": lambda: _watched(_shared(windows, sampler), batches),
            "torch": lambda: _watched(_torch(windows, sampler), batches),
        }
        if find_spec("lerobot"):
            copy = _copy(Path(folder))
            for workers in (0, WORKERS):
                contestants[f"lerobot, {workers} workers"] = partial(_lerobot, copy, workers, max(8, batches // 10))
        seen: dict[str, list[_Seen]] = {name: [] for name in contestants}
        decoding: list[float] = []
        for _ in range(rounds):
            for name, work in contestants.items():
                seen[name].append(work())
            decoding.append(_decoding_ms(windows, sampler, batches))
    figures = {f"windows a second, {name}": median(each.rate for each in timings) for name, timings in seen.items()}
    for name in ("shared", "torch"):
        pairs = list(zip(seen[name], seen["none"], strict=True))
        figures |= {
            f"CPU ms a batch, {name}: consumer": median(each.here_ms for each in seen[name]),
            f"CPU ms a batch, {name}: workers": median(each.workers_ms for each in seen[name]),
            f"two workers over none, {name}, on the clock": median(two.rate / one.rate for two, one in pairs),
            f"two workers over none, {name}, by CPU time": median(
                one.here_ms / two.cores_needed_ms for two, one in pairs
            ),
        }
    if "lerobot, 0 workers" in seen:
        for workers, ours in ((0, "none"), (WORKERS, "shared")):
            pairs = list(zip(seen[ours], seen[f"lerobot, {workers} workers"], strict=True))
            name = f"ours over lerobot, {workers} workers"
            figures[f"{name}, on the clock"] = median(one.rate / other.rate for one, other in pairs)
            figures[f"{name}, by CPU time"] = median(other.both_ms / one.both_ms for one, other in pairs)
    alone_ms = median(each.here_ms for each in seen["none"])
    figures |= {
        "CPU ms a batch, none": alone_ms,
        "share of JPEG decoding without workers": median(decoding) / alone_ms,
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


def _watched(batches: Iterator[Any], count: int, *, warm_up: int = 8) -> _Seen:
    """`count` batches, after a few of warming up."""
    for _ in range(warm_up):
        next(batches)
    workers = [process.pid for process in multiprocessing.active_children() if process.pid]
    began_s, here_s, there_s = time.perf_counter(), time.process_time(), _cpu_s(workers)
    for _ in range(count):
        batch = next(batches)
        assert batch["action"].shape[0] == BATCH
    rate = count * BATCH / (time.perf_counter() - began_s)
    here_ms, workers_ms = time.process_time() - here_s, _cpu_s(workers) - there_s
    close: Callable[[], None] | None = getattr(batches, "close", None)
    if close:
        close()
    return _Seen(rate, 1e3 * here_ms / count, 1e3 * workers_ms / count)


def _cpu_s(processes: list[int]) -> float:
    """CPU seconds that the processes have used (Linux)."""
    ticks = 0
    for process in processes:
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _alone(windows: Windows, sampler: WindowSampler) -> Iterator[Any]:
    number = 0
    while True:
        yield windows.__getitems__(sampler.batch(number))
        number += 1


def _shared(windows: Windows, sampler: WindowSampler) -> Iterator[Any]:
    with SharedBatches(
        lambda number, memory: windows.batch(sampler.batch(number), memory=memory), workers=WORKERS
    ) as batches:
        stream: Any = _Stream(batches)
        collate: Any = as_tensors
        yield from iter(DataLoader(stream, batch_size=None, collate_fn=collate))


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


def _copy(folder: Path) -> Path:
    """The data set as LeRobot v2.1, its videos as an export writes them."""
    export_lerobot(Dataset.open(folder / "data").episodes(), folder / "copy")
    return folder / "copy"


def _lerobot(copy: Path, workers: int, count: int) -> _Seen:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    chunk = {"action": [step / 20 for step in range(16)]}
    dataset = LeRobotDataset("ours/copy", root=copy, delta_timestamps=chunk, video_backend="torchcodec")
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers, drop_last=True)

    def endless() -> Iterator[Any]:
        while True:
            yield from loader

    return _watched(endless(), count, warm_up=2)


def _decoding_ms(windows: Windows, sampler: WindowSampler, count: int) -> float:
    """CPU milliseconds of a batch if nothing but its pictures were decoded."""
    frames = []
    for number in range(count):
        for place in windows.table.places(sampler.batch(number)):
            source, unit = windows.table.units[place.unit]
            shard = windows.sources[source].dataset.shard(unit)
            frames += [bytes(shard.frame(camera, place.start + place.first + place.nth)) for camera in CAMERAS]
    from storage.frames import frame_codec

    codec, out = frame_codec("jpeg"), np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    began_s = time.process_time()
    for frame in frames:
        codec.decode_into(frame, out)
    return 1e3 * (time.process_time() - began_s) / count
