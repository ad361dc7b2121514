"""Opening: a data set of 10,000 low-dimensional episodes, a random window of it, and its number of files."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.testing import write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows

BARS = {
    "open_s": {"at_most": 0.2},
    "window_cpu_us": {"at_most": 20.0},
    "files_per_shard_growth": {"at_most": 0.0},
}
EPISODES, _EPISODES_PER_UNIT, _BATCH = 10_000, 100, 32
_OPEN_AND_TIME = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
from storage.datasets.dataset import Dataset
imported, cpu = time.perf_counter(), time.process_time()
dataset = Dataset.open(Path(sys.argv[1]))
done = time.perf_counter()
assert len(dataset) == int(sys.argv[2])
print(json.dumps([imported - started, done - imported, time.process_time() - cpu]))
"""


def run(quick: bool) -> dict[str, Any]:
    """10,000 episodes of a 44 + 44 dimensional robot in units of 100; `quick` makes them shorter, not fewer."""
    steps, processes = (40, 3) if quick else (200, 7)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        _write(root, units=EPISODES // _EPISODES_PER_UNIT, episodes=_EPISODES_PER_UNIT, steps=steps)
        _write(Path(folder) / "few", units=1, episodes=2, steps=steps)
        files, files_of_two = _files_per_shard(root), _files_per_shard(Path(folder) / "few")
        opened = np.median([_open_in_a_new_process(root) for _ in range(processes)], axis=0)
        dataset = Dataset.open(root)
        windows = Windows([Source(dataset=dataset)], WindowConfig(horizon_steps=16), open_shards=128)
        sampler = WindowSampler(windows, batch_size=_BATCH)
        numbers = [sampler.batch(number) for number in range(200)]
        rounds = {
            "batches": lambda: [windows.__getitems__(batch) for batch in numbers],
            "single": lambda: [windows[number] for batch in numbers[:20] for number in batch],
        }
        seconds = measure.interleaved(rounds, rounds=5)
        sampling = measure.timed(lambda: [sampler.batch(number) for number in range(500)])
    figures = {
        "open_s": float(opened[1]),
        "open_cpu_s": float(opened[2]),
        "import_s": float(opened[0]),
        "window_cpu_us": seconds["batches"].cpu_s / (200 * _BATCH) * 1e6,
        "window_wall_us": seconds["batches"].wall_s / (200 * _BATCH) * 1e6,
        "single_window_cpu_us": seconds["single"].cpu_s / (20 * _BATCH) * 1e6,
        "sampling_cpu_us": sampling.cpu_s / (500 * _BATCH) * 1e6,
        "files_per_shard": files,
        "files_per_shard_growth": files - files_of_two,
    }
    print(
        f"{EPISODES} episodes of {steps} steps in {EPISODES // _EPISODES_PER_UNIT} shards, each open in a new process:"
    )
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _write(root: Path, *, units: int, episodes: int, steps: int) -> None:
    dataset = Dataset.create(root, name="benchmark")
    random = np.random.default_rng(0)
    for unit in range(units):
        vectors = random.normal(size=(episodes, 2, steps, 44)).astype(np.float32)
        write_unit(root, [_episode(f"{unit:04d}-{place:04d}", pair) for place, pair in enumerate(vectors)])
    dataset.compact()


def _episode(episode_id: str, pair: Any) -> Episode:
    return Episode(
        episode_id=episode_id,
        layer="simulation",
        embodiment="gr1",
        length=len(pair[0]),
        rate_hz=20.0,
        instruction=f"do the thing {episode_id[:3]}",
        arrays={"state": pair[0], "action/ground_truth": pair[1]},
        provenance={"source": {"demonstration": episode_id, "seed": 3}},
    )


def _files_per_shard(root: Path) -> float:
    files = sum(1 for path in (root / "shards").rglob("*") if path.is_file())
    return files / len(list((root / "shards").iterdir()))


def _open_in_a_new_process(root: Path) -> list[float]:
    command = [sys.executable, "-c", _OPEN_AND_TIME, str(root), str(EPISODES)]
    seconds: list[float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return seconds
