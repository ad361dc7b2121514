"""What goes into a shard comes out of it: arrays to the bit, frames to the byte, for us and for other readers."""

from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.episode import Episode
from storage.frames import CODECS
from storage.shards.episode_recorder import EpisodeRecorder
from storage.shards.reader import Shard
from storage.shards.record import ShardRecord
from storage.shards.writer import ShardWriter
from storage.testing import same_episode, tiny_episode, tiny_images


def write(path: Path, episodes: list[Episode]) -> ShardRecord:
    with ShardWriter(path, unit_id="a unit") as writer:
        for episode in episodes:
            writer.add(episode)
        return writer.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


every_array = {
    "valid": np.array([True] * 5 + [False]),
    "timestamp": np.linspace(0, 1, 6),
    "source_frame": np.arange(6) * 3,
    "simulation/state": np.random.default_rng(0).normal(size=(6, 31)),
    "label/codes": np.arange(12, dtype=np.int32).reshape(6, 2),
    "label/flags/predicted": np.arange(6, dtype=np.uint16),
    "label/confidence/predicted": np.full((6, 3), 0.5, dtype=np.float32),
    "foreign/observation.effort": np.ones((6, 2)),
}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    codec=st.sampled_from(sorted(CODECS.keys() - {"reference"})),
    embodiment=st.sampled_from(["panda", "gr1", "human"]),
)
def test_episodes_come_out_of_a_shard_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], codec: str, embodiment: str
) -> None:
    path = tmp_path_factory.mktemp("shard") / "one.zarr"
    episodes = [
        tiny_episode(seed, length=length, codec=codec, embodiment=embodiment, layer="real", cameras=("front", "wrist"))
        for seed, length in enumerate(lengths)
    ]
    write(path, episodes)
    shard = Shard(path)
    shard.check()
    assert all(same_episode(shard.episode(place), episode) for place, episode in enumerate(episodes))


def test_every_kind_of_array_survives_with_its_dtype(tmp_path: Path) -> None:
    episode = tiny_episode(length=6, arrays=every_array, verdicts=({"judge": "rules", "score": 0.5},), parent_id="p")
    write(tmp_path / "one.zarr", [episode])
    assert same_episode(Shard(tmp_path / "one.zarr").episode(0), episode)


def test_equal_episodes_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("one.zarr", "other.zarr"):
        write(tmp_path / name, [tiny_episode(1), tiny_episode(2, length=5)])
    assert contents(tmp_path / "one.zarr") == contents(tmp_path / "other.zarr")


def test_recording_step_by_step_makes_the_bytes_of_adding_the_whole(tmp_path: Path) -> None:
    episode = tiny_episode(3, length=7, provenance={})
    write(tmp_path / "added.zarr", [episode])
    with ShardWriter(tmp_path / "recorded.zarr", unit_id="a unit") as writer:
        about = {
            name: getattr(episode, name) for name in ("episode_id", "layer", "embodiment", "rate_hz", "instruction")
        }
        with EpisodeRecorder(writer, **about) as recorder:
            for step, image in enumerate(tiny_images(3 * 31, steps=7)):
                arrays = {name: rows[step] for name, rows in episode.arrays.items()}
                recorder.step(arrays=arrays, images={"front": image})
            recorder.finish()
        writer.close()
    assert contents(tmp_path / "recorded.zarr") == contents(tmp_path / "added.zarr")


def test_zarr_python_reads_every_array_and_camera(tmp_path: Path) -> None:
    write(
        tmp_path / "one.zarr",
        [tiny_episode(length=6, arrays=every_array), tiny_episode(1, length=6, arrays=every_array)],
    )
    shard, group = Shard(tmp_path / "one.zarr"), zarr.open_group(tmp_path / "one.zarr", mode="r")
    for name in shard.about["arrays"]:
        np.testing.assert_array_equal(group[name][:], shard.array(name))
    np.testing.assert_array_equal(group["video/front"][3:9], shard.video("front").frames(3, 9).decode())
    assert group["episode_ends"][:].tolist() == [6, 12]


@pytest.mark.filterwarnings("error::zarr.errors.ZarrUserWarning")
def test_zarr_python_lists_a_shard_without_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "one.zarr", [tiny_episode()])
    names = [name for name, _ in zarr.open_group(tmp_path / "one.zarr", mode="r").members(max_depth=None)]
    assert {"state", "action", "action/ground_truth", "video/front", "episode_ends", "episode_records"} <= set(names)


@pytest.mark.parametrize("codec", ["lossless", "mask", "depth"])
def test_tensorstore_reads_what_is_lossless(tmp_path: Path, codec: str) -> None:
    write(tmp_path / "one.zarr", [tiny_episode(codec=codec)])
    shard = Shard(tmp_path / "one.zarr")
    for name, ours in (
        ("video/front", shard.video("front").frames(0, shard.steps).decode()),
        ("state", shard.array("state")),
    ):
        store = {"driver": "file", "path": f"{tmp_path}/one.zarr/{name}"}
        theirs = tensorstore.open({"driver": "zarr3", "kvstore": store}).result().read().result()
        np.testing.assert_array_equal(theirs, ours)


def test_an_inner_chunk_of_a_camera_is_a_bare_jpeg(tmp_path: Path) -> None:
    write(tmp_path / "one.zarr", [tiny_episode(length=3)])
    content = (tmp_path / "one.zarr/video/front/c.0.0.0.0").read_bytes()
    offset, size = np.frombuffer(content[-4 - 3 * 16 : -4], dtype="<u8")[2:4].tolist()
    assert content[offset : offset + 2] == b"\xff\xd8"
    assert content[offset + size - 2 : offset + size] == b"\xff\xd9"


def test_the_record_of_a_shard_survives_json(tmp_path: Path) -> None:
    record = write(tmp_path / "one.zarr", [tiny_episode()])
    assert ShardRecord.from_json(record.to_json()) == record
    assert record.bytes == sum(len(content) for content in contents(tmp_path / "one.zarr").values())


def test_the_number_of_files_does_not_depend_on_the_number_of_episodes(tmp_path: Path) -> None:
    write(tmp_path / "few.zarr", [tiny_episode(0)])
    write(tmp_path / "many.zarr", [tiny_episode(seed, length=2) for seed in range(40)])
    assert contents(tmp_path / "few.zarr").keys() == contents(tmp_path / "many.zarr").keys()
