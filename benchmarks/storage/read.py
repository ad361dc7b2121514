"""Reading: CPU time of a random training window, our reader against zarr-python on the very same files."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks import measure
from benchmarks.storage.scene import SIZE_PX, camera_images
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.frames import Frames
from storage.testing import write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows

BARS = {"cpu_ratio_to_zarr_python": {"at_most": 0.2}}
_BATCH, _HORIZON = 32, 16
_CAMERAS = ("front", "wrist")


def run(quick: bool) -> dict[str, Any]:
    """Random windows of one frame of two cameras at 224x224, a state and 16 actions."""
    units, steps, batches, rounds = (2, 150, 2, 5) if quick else (8, 400, 4, 9)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        _write(root, units=units, steps=steps)
        dataset = Dataset.open(root)
        config = WindowConfig(cameras={name: (name,) for name in _CAMERAS}, horizon_steps=_HORIZON)
        windows = Windows([Source(dataset=dataset)], config)
        sampler = WindowSampler(windows, batch_size=_BATCH)
        numbers = [sampler.batch(number) for number in range(batches)]
        theirs = _ZarrReader(dataset, windows)
        _check_equal(windows, theirs, numbers[0])
        contestants = {
            "ours": lambda: _read(windows.__getitems__, numbers),
            "zarr": lambda: _read(theirs.read, numbers),
        }
        seconds = measure.interleaved(contestants, rounds=rounds)
        bytes_per_frame = dataset_bytes(dataset) / (units * steps * len(_CAMERAS))
    count = batches * _BATCH
    figures = {
        "window_cpu_ms": seconds["ours"].cpu_s / count * 1e3,
        "window_wall_ms": seconds["ours"].wall_s / count * 1e3,
        "window_cpu_ms_zarr_python": seconds["zarr"].cpu_s / count * 1e3,
        "window_wall_ms_zarr_python": seconds["zarr"].wall_s / count * 1e3,
        "cpu_ratio_to_zarr_python": seconds["ours"].cpu_s / seconds["zarr"].cpu_s,
        "kib_per_frame": bytes_per_frame / 1024,
    }
    print(f"Random windows, 2 cameras {SIZE_PX}x{SIZE_PX}, state, {_HORIZON} actions, batches of {_BATCH}:")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _read(reader: Callable[[list[int]], object], numbers: list[list[int]]) -> None:
    """Read one batch after the other and let go of each, as a training loop does."""
    for batch in numbers:
        reader(batch)


def dataset_bytes(dataset: Dataset) -> int:
    """Bytes of all shards."""
    return sum(manifest.shard.bytes for manifest in dataset.manifests() if manifest.shard)


def _write(root: Path, *, units: int, steps: int) -> None:
    Dataset.create(root, name="benchmark")
    random = np.random.default_rng(0)
    for unit in range(units):
        vectors = random.normal(size=(2, steps, 44)).astype(np.float32)
        episode = Episode(
            episode_id=f"episode {unit}",
            layer="simulation",
            embodiment="gr1",
            length=steps,
            rate_hz=20.0,
            cameras={
                name: Frames.encode(camera_images(steps, seed=2 * unit + place)) for place, name in enumerate(_CAMERAS)
            },
            arrays={"state": vectors[0], "action/ground_truth": vectors[1]},
        )
        write_unit(root, [episode])


class _ZarrReader:
    """The same windows through zarr-python: arrays opened once, scalar rows and slices, which is its fastest way."""

    def __init__(self, dataset: Dataset, windows: Windows) -> None:
        self._table = windows.table
        self._arrays = []
        for _, unit_id in windows.table.units:
            group: Any = zarr.open_group(dataset.sink.shard(unit_id), mode="r")
            names = ("state", "action/ground_truth", *(f"video/{name}" for name in _CAMERAS))
            self._arrays.append({name: group[name] for name in names})

    def read(self, numbers: list[int]) -> dict[str, Any]:
        count = len(numbers)
        images = {name: np.empty((count, 1, SIZE_PX, SIZE_PX, 3), dtype=np.uint8) for name in _CAMERAS}
        state = np.zeros((count, 1, 44), dtype=np.float32)
        action = np.zeros((count, _HORIZON, 44), dtype=np.float32)
        for place, window in enumerate(self._table.places(numbers)):
            arrays = self._arrays[window.unit]
            at, end = window.start + window.nth, window.start + window.length
            state[place, 0] = arrays["state"][at]
            chunk = arrays["action/ground_truth"][at : min(at + _HORIZON, end)]
            action[place, : len(chunk)] = chunk
            action[place, len(chunk) :] = chunk[-1]
            for name, out in images.items():
                out[place, 0] = arrays[f"video/{name}"][at]
        return {"images": images, "state": state, "action": action}


def _check_equal(windows: Windows, theirs: _ZarrReader, numbers: list[int]) -> None:
    """Both readers must give the same, or the comparison means nothing."""
    one, other = windows.__getitems__(numbers), theirs.read(numbers)
    for name in ("state", "action"):
        np.testing.assert_array_equal(one[name], other[name])
    for name in _CAMERAS:
        np.testing.assert_array_equal(one["images"][name], other["images"][name])
