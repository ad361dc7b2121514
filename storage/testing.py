"""Tiny real things for tests, of this project and of whoever extends it: episodes, shards, whole data sets.

Everything follows from a seed. Images are smooth enough to survive JPEG and differ from step to step.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.datasets.commit import Attempt
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import Manifest
from storage.datasets.plan import WorkUnit, write_plan
from storage.datasets.unit_paths import SHARDS, Sink
from storage.embodiment import embodiment_named
from storage.episode import Episode, Layer
from storage.errors import MissingFileError
from storage.frames import Frames, Image, frame_codec
from storage.ids import content_id
from storage.shards.writer import ShardWriter
from storage.verification.verify import verify

TINY_HEIGHT_PX, TINY_WIDTH_PX = 32, 48


def tiny_images(
    seed: int = 0, *, steps: int = 12, height_px: int = TINY_HEIGHT_PX, width_px: int = TINY_WIDTH_PX
) -> NDArray[np.uint8]:
    """A bright disc that wanders over a coloured gradient, (T, H, W, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height_px, 0:width_px]
    ground = np.stack([rows * 255 / height_px, columns * 255 / width_px, np.full(rows.shape, 60.0 + seed % 100)], -1)
    centre, speed = random.uniform(0.2, 0.8, 2), random.uniform(-0.03, 0.03, 2)
    images = np.empty((steps, height_px, width_px, 3), dtype=np.uint8)
    for step in range(steps):
        at = (centre + step * speed) * (height_px, width_px)
        disc = np.hypot(rows - at[0], columns - at[1]) < height_px / 5
        images[step] = np.where(disc[..., None], (250, 240, 200), ground)
    return images


def tiny_episode(
    seed: int = 0,
    *,
    length: int = 12,
    embodiment: str = "panda",
    layer: Layer = "simulation",
    rate_hz: float = 20.0,
    cameras: Sequence[str] = ("front",),
    size_px: tuple[int, int] = (TINY_HEIGHT_PX, TINY_WIDTH_PX),
    codec: str = "jpeg",
    instruction: str = "put the disc on the table",
    arrays: Mapping[str, NDArray[Any]] | None = None,
    **about: Any,
) -> Episode:
    """An episode whose content follows from `seed`. It has the state and actions that its embodiment has (a person has
    neither), and every camera in `cameras` with frames of `size_px` (height, width). `arrays` adds to these or takes
    their place, `about` sets anything else (episode_id, parent_id, verdicts, provenance)."""
    random = np.random.default_rng([seed, 7])
    declared = embodiment_named(embodiment)
    vectors: dict[str, NDArray[Any]] = {}
    for name, layout in (("state", declared.state), ("action/ground_truth", declared.action)):
        if layout.size:
            walk = random.normal(scale=0.1, size=(length, layout.size)).cumsum(axis=0)
            vectors[name] = walk.astype(np.float32)
    frames = {
        camera: Frames.encode(_images_for(codec, seed * 31 + place, steps=length, size_px=size_px), codec)
        for place, camera in enumerate(cameras)
    }
    return Episode(
        episode_id=about.pop("episode_id", content_id("tiny", seed, length, embodiment, layer)),
        layer=layer,
        embodiment=embodiment,
        length=length,
        rate_hz=rate_hz,
        instruction=instruction,
        cameras=frames,
        arrays={**vectors, **(arrays or {})},
        provenance=about.pop("provenance", {"source": {"kind": "tiny", "seed": seed}}),
        **about,
    )


def _images_for(codec: str, seed: int, *, steps: int, size_px: tuple[int, int]) -> list[Image]:
    images = tiny_images(seed, steps=steps, height_px=size_px[0], width_px=size_px[1])
    kind = frame_codec(codec)
    if kind.channels == 3:
        return list(images)
    plane = images[..., 0].astype(kind.dtype)
    return list(plane * 7 if kind.dtype == "uint16" else plane)


def write_unit(
    root: Path, episodes: Iterable[Episode], *, unit_id: str = "", job: str = "tiny", sink: str = SHARDS
) -> str:
    """Commit `episodes` as one unit, the way a run does, and return its id. `unit_id` follows from the episodes."""
    episodes = list(episodes)
    unit_id = unit_id or content_id("tiny unit", [episode.episode_id for episode in episodes])
    with Attempt(Sink(root, sink), unit_id) as attempt:
        with ShardWriter(attempt.path, unit_id=unit_id) as writer:
            for episode in episodes:
                writer.add(episode)
            record = writer.close()
        attempt.publish(Manifest(unit_id=unit_id, job=job, config_hash=content_id(job), sink=sink, shard=record))
    return unit_id


def tiny_dataset(
    root: Path, *, units: int = 2, episodes_per_unit: int = 3, seed: int = 0, name: str = "tiny", **episode: Any
) -> Dataset:
    """A whole data set in `root`: planned, committed, and open. Lengths of episodes differ (8 to 16 steps) unless
    `length` is given; other keywords go to `tiny_episode`. The job is called "tiny"."""
    Dataset.create(root, name=name)
    groups = [
        [_nth_episode(seed * 100_000 + unit * episodes_per_unit + place, episode) for place in range(episodes_per_unit)]
        for unit in range(units)
    ]
    ids = [content_id("tiny unit", [each.episode_id for each in group]) for group in groups]
    write_plan(
        root,
        [
            WorkUnit(unit_id=unit_id, job="tiny", items=({"seed": seed},), config_hash=content_id("tiny"))
            for unit_id in ids
        ],
    )
    for unit_id, group in zip(ids, groups, strict=True):
        write_unit(root, group, unit_id=unit_id)
    return Dataset.open(root)


def _nth_episode(seed: int, settings: Mapping[str, Any]) -> Episode:
    return tiny_episode(seed, **{"length": 8 + seed % 9, **settings})


def find_real_data(name: str) -> Path:
    """The folder `name` of the recordings that `PYRAMID_REAL_DATA` points at; raises MissingFileError without it."""
    root = os.environ.get("PYRAMID_REAL_DATA")
    if not root:
        raise MissingFileError(f"no real data: point PYRAMID_REAL_DATA at a folder that has {name}")
    if not (Path(root) / name).exists():
        raise MissingFileError(f"no real data at {Path(root) / name}; point PYRAMID_REAL_DATA at a folder that has it")
    return Path(root) / name


def real_data(name: str) -> Path:
    """`find_real_data` for tests: skips the test, saying so, where there is none."""
    import pytest

    try:
        return find_real_data(name)
    except MissingFileError as error:
        pytest.skip(str(error))


def assert_sound(root: Path) -> None:
    """Fail, naming what is wrong, unless everything in a data set checks out and nothing lies about."""
    report = verify(root)
    assert not report, "\n".join(map(str, report))


def same_episode(one: Episode, other: Episode) -> bool:
    """Whether two episodes are equal: arrays to the bit, frames to the byte, and everything that is said about them."""
    names = ("episode_id", "parent_id", "layer", "embodiment", "length", "rate_hz")
    names_too = ("instruction", "original_instruction", "verdicts")
    if any(getattr(one, name) != getattr(other, name) for name in (*names, *names_too)):
        return False
    if dict(one.provenance) != dict(other.provenance) or one.fields != other.fields:
        return False
    arrays = all(
        rows.dtype == other.arrays[name].dtype and rows.tobytes() == other.arrays[name].tobytes()
        for name, rows in one.arrays.items()
    )
    return arrays and all(_same_frames(frames, other.cameras[name]) for name, frames in one.cameras.items())


def _same_frames(one: Frames, other: Frames) -> bool:
    if any(getattr(one, name) != getattr(other, name) for name in ("height_px", "width_px", "codec")):
        return False
    return len(one) == len(other) and all(
        bytes(mine) == bytes(its) for mine, its in zip(one.payloads, other.payloads, strict=True)
    )
