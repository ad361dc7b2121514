import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from storage.episode import Episode
from storage.errors import AlreadyWrittenError, SchemaError, WorldError
from storage.frames import Frames
from storage.shards.episode_recorder import EpisodeRecorder
from storage.shards.reader import Shard
from storage.shards.writer import ShardWriter
from storage.testing import same_episode, tiny_episode, tiny_images


def write(path: Path, episodes: list[Episode]) -> None:
    with ShardWriter(path, unit_id="u") as writer:
        for episode in episodes:
            writer.add(episode)
        writer.close()


@contextmanager
def small_disk() -> Iterator[None]:
    """The operating system refuses every file of more than 20 kB, as a full disk would.

    Holds for the whole process, the test run's own log included: no longer than the write under test.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"embodiment": "gr1"}, "expected embodiment panda, got gr1"),
        ({"rate_hz": 10.0}, "expected rate_hz 20.0, got 10.0"),
        ({"size_px": (16, 16)}, "expected cameras"),
        ({"cameras": ("front", "wrist")}, "expected cameras"),
        ({"codec": "high"}, "expected cameras"),
        ({"arrays": {"valid": np.ones(12, dtype=bool)}}, "expected arrays"),
    ],
)
def test_an_episode_of_another_layout_is_refused_and_leaves_no_trace(tmp_path: Path, other: dict, told: str) -> None:
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        writer.add(tiny_episode(1))
        with pytest.raises(SchemaError, match=told):
            writer.add(tiny_episode(2, **other))
        writer.add(tiny_episode(3))
        writer.close()
    shard = Shard(tmp_path / "one.zarr")
    shard.check()
    assert [same_episode(shard.episode(place), tiny_episode(seed)) for place, seed in ((0, 1), (1, 3))] == [True, True]


def test_a_frame_of_another_size_in_the_middle_undoes_its_episode_only(tmp_path: Path) -> None:
    good, bad = tiny_episode(1), tiny_episode(2)
    payloads = [*bad.cameras["front"].payloads[:5], *Frames.encode(tiny_images(0, steps=7, height_px=8)).payloads]
    broken = tiny_episode(2, cameras=()).adding(cameras={"front": Frames(payloads=payloads, height_px=32, width_px=48)})
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        with pytest.raises(SchemaError, match="expected frames of 48x32 px; got 48x8"):
            writer.add(broken)
        writer.add(good)
        with pytest.raises(SchemaError, match="got 48x8"):
            writer.add(broken)
        writer.add(bad)
        writer.close()
    shard = Shard(tmp_path / "one.zarr")
    shard.check()
    assert same_episode(shard.episode(0), good)
    assert same_episode(shard.episode(1), bad)


def test_after_a_first_episode_that_failed_another_layout_may_come(tmp_path: Path) -> None:
    jpeg = Frames(payloads=[b"no jpeg"] * 12, height_px=32, width_px=48)
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        with pytest.raises(SchemaError, match="this frame is none"):
            writer.add(tiny_episode(cameras=()).adding(cameras={"gone": jpeg}))
        writer.add(tiny_episode(cameras=("front",)))
        writer.close()
    Shard(tmp_path / "one.zarr").check()
    assert not (tmp_path / "one.zarr/video/gone").exists()


def test_a_recording_that_stops_half_way_leaves_no_trace(tmp_path: Path) -> None:
    about = {"episode_id": "half", "layer": "real", "embodiment": "panda", "rate_hz": 20.0}
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        writer.add(tiny_episode(cameras=("front",)))
        with EpisodeRecorder(writer, **about) as recorder:
            arrays = {"state": np.zeros(18, dtype=np.float32), "action/ground_truth": np.zeros(7, dtype=np.float32)}
            recorder.step(arrays=arrays, images={"front": tiny_images(steps=1)[0]})
        record = writer.close()
    Shard(tmp_path / "one.zarr").check()
    assert record.steps == 12


def test_verdicts_that_are_no_json_are_refused(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        with pytest.raises(SchemaError, match="JSON values only, and no NaN"):
            writer.add(tiny_episode(verdicts=({"score": float("nan")},)))
        writer.abort()


def test_a_shard_is_never_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "one.zarr").mkdir()
    with pytest.raises(AlreadyWrittenError, match="is there already"):
        ShardWriter(tmp_path / "one.zarr", unit_id="u")


def test_a_shard_without_an_episode_is_not_closed(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "one.zarr", unit_id="u")
    with pytest.raises(SchemaError, match="at least one episode"):
        writer.close()
    writer.abort()
    assert not (tmp_path / "one.zarr").exists()


def test_an_error_in_the_block_removes_everything(tmp_path: Path) -> None:
    bad = tiny_episode(embodiment="gr1")
    with pytest.raises(SchemaError):
        write(tmp_path / "one.zarr", [tiny_episode(), bad])
    assert not (tmp_path / "one.zarr").exists()


def test_a_full_disk_is_a_world_error_that_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"cannot write .*one\.zarr.*; make room"), small_disk():
        write(tmp_path / "one.zarr", [tiny_episode(seed) for seed in range(20)])
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_a_world_error() -> None:
    with pytest.raises(WorldError, match="choose a folder that can be written"):
        ShardWriter(Path("/proc/one.zarr"), unit_id="u")
