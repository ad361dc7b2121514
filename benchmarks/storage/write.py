"""Writing: CPU time to encode and store a frame, against zarr-python's, and memory against the length of an episode."""

import tempfile
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks import measure
from benchmarks.storage.scene import SIZE_PX, camera_images
from storage.shards.episode_recorder import EpisodeRecorder
from storage.shards.jpeg_codec import JpegCodec
from storage.shards.writer import ShardWriter

BARS = {"cpu_over_zarr_python": {"at_most": 0.5}, "memory_growth_bytes_per_frame": {"at_most": 64.0}}
_CAMERAS = ("front", "wrist")


def run(quick: bool) -> dict[str, Any]:
    """Record an episode with two cameras at 224x224, state and action, frame by frame."""
    steps, rounds = (200, 5) if quick else (500, 15)
    images = {name: list(camera_images(steps, seed=seed)) for seed, name in enumerate(_CAMERAS)}
    vectors = np.random.default_rng(0).normal(size=(steps, 44)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        counter = iter(range(10**6))
        contestants = {
            "ours": lambda: _record(Path(folder) / str(next(counter)), images, vectors),
            "zarr-python": lambda: _zarr(Path(folder) / str(next(counter)), images, vectors),
        }
        seconds = measure.interleaved(contestants, rounds=rounds)
        growth = _memory_growth(Path(folder), images)
    frames = steps * len(_CAMERAS)
    figures = {
        "cpu_over_zarr_python": seconds["ours"].cpu_s / seconds["zarr-python"].cpu_s,
        "frame_cpu_ms": seconds["ours"].cpu_s / frames * 1e3,
        "frame_wall_ms": seconds["ours"].wall_s / frames * 1e3,
        "frame_cpu_ms_zarr_python": seconds["zarr-python"].cpu_s / frames * 1e3,
        "memory_growth_bytes_per_frame": growth,
    }
    print(f"Recording {steps} steps with {len(_CAMERAS)} cameras at {SIZE_PX}x{SIZE_PX} (CPU, fsync included):")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _record(path: Path, images: dict[str, list[Any]], vectors: Any, *, steps: int | None = None) -> None:
    """One episode through the recorder; images repeat when `steps` is more than there are."""
    there = len(vectors)
    with ShardWriter(path, unit_id="benchmark") as writer:
        about: dict[str, Any] = {"layer": "simulation", "embodiment": "gr1", "rate_hz": 20.0}
        with EpisodeRecorder(writer, episode_id="one", **about) as recorder:
            for step in range(steps or there):
                at = step % there
                arrays = {"state": vectors[at], "action/ground_truth": vectors[at]}
                recorder.step(arrays=arrays, images={name: frames[at] for name, frames in images.items()})
            recorder.finish()
        writer.close()


def _zarr(path: Path, images: dict[str, list[Any]], vectors: Any) -> None:
    """The same through zarr-python at its best: whole arrays from memory, one call each."""
    group = zarr.create_group(path)
    for name in ("state", "action"):
        array = group.create_array(name, shape=vectors.shape, chunks=vectors.shape, dtype="float32", compressors=None)
        array[:] = vectors
    for name, frames in images.items():
        stack = np.stack(frames)
        video: Any = group.create_array(
            name,
            shape=stack.shape,
            chunks=(1, *stack.shape[1:]),
            shards=stack.shape,
            dtype="uint8",
            serializer=JpegCodec(),
            compressors=None,
        )
        video[:] = stack


def _memory_growth(folder: Path, images: dict[str, list[Any]]) -> float:
    """By how many bytes the peak of allocated memory grows with each frame of a longer episode."""
    few = {name: list(islice(frames, 20)) for name, frames in images.items()}
    vectors = np.zeros((20, 44), dtype=np.float32)
    peaks = []
    lengths = (1500, 6000)
    for steps in lengths:
        tracemalloc.start()
        _record(folder / f"memory-{steps}", few, vectors, steps=steps)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / ((lengths[1] - lengths[0]) * len(images))
