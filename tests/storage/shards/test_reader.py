import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from storage.errors import CorruptFileError, MissingFileError, SchemaVersionError, UnknownNameError
from storage.shards.reader import Shard
from storage.shards.writer import ShardWriter
from storage.testing import same_episode, tiny_episode

VIDEO = "video/front/c.0.0.0.0"


@pytest.fixture
def shard_path(tmp_path: Path) -> Path:
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        writer.add(tiny_episode(0))
        writer.add(tiny_episode(1, length=5))
        writer.close()
    return tmp_path / "one.zarr"


def change(path: Path, *, at: int = 0, cut: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content[: len(content) - cut])


def test_frames_stay_on_the_disk_until_they_are_indexed(shard_path: Path) -> None:
    payload = Shard(shard_path).episode(0).cameras["front"].payloads[3]
    assert isinstance(payload, memoryview)
    assert bytes(payload) == bytes(tiny_episode(0).cameras["front"].payloads[3])


def test_an_episode_read_from_a_shard_can_be_sent_to_another_process(shard_path: Path) -> None:
    sent = pickle.loads(pickle.dumps(Shard(shard_path).episode(1)))
    assert same_episode(sent, tiny_episode(1, length=5))
    assert isinstance(sent.cameras["front"].payloads[0], bytes)


def test_a_slice_of_payloads_is_the_payloads_of_the_slice(shard_path: Path) -> None:
    payloads = Shard(shard_path).episode(0).cameras["front"].payloads
    assert [bytes(payload) for payload in payloads[2:9:3]] == [bytes(payloads[index]) for index in (2, 5, 8)]


def test_arrays_cannot_be_written_to(shard_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Shard(shard_path).array("state")[0] = 1


def test_an_unknown_array_is_named_with_its_neighbours(shard_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean state"):
        Shard(shard_path).array("stat")


def test_no_shard_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        Shard(tmp_path / "none.zarr")


def test_a_shard_of_another_version_is_refused(shard_path: Path) -> None:
    document = json.loads((shard_path / "zarr.json").read_text())
    document["attributes"]["data_pyramid"]["shard_version"] = 7
    (shard_path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(SchemaVersionError, match="reads shards of version 1; got 7"):
        Shard(shard_path)


@pytest.mark.parametrize("cut", [1, 40, 3000])
def test_a_truncated_video_fails_when_it_is_opened(shard_path: Path, cut: int) -> None:
    change(shard_path / VIDEO, cut=cut)
    with pytest.raises(CorruptFileError, match=r"truncated|checksum"):
        Shard(shard_path).frame("front", 0)


def test_a_flipped_bit_in_the_frame_index_fails_its_checksum(shard_path: Path) -> None:
    change(shard_path / VIDEO, at=-30)
    with pytest.raises(CorruptFileError, match="fails its checksum"):
        Shard(shard_path).check()


def test_a_last_frame_that_does_not_decode_fails_the_check(shard_path: Path) -> None:
    video = Shard(shard_path).video("front")
    offset = sum(len(video[row]) for row in range(len(video) - 1))
    content = bytearray((shard_path / VIDEO).read_bytes())
    content[offset : offset + 8] = b"\0" * 8
    (shard_path / VIDEO).write_bytes(content)
    with pytest.raises(CorruptFileError, match="does not decode"):
        Shard(shard_path).check()


def test_a_truncated_array_fails_when_it_is_opened(shard_path: Path) -> None:
    change(shard_path / "state/c.0.0", cut=4)
    with pytest.raises(CorruptFileError, match="expected 1224 bytes; got 1220"):
        Shard(shard_path).array("state")


def test_episode_ends_that_contradict_the_records_fail_the_check(shard_path: Path) -> None:
    (shard_path / "episode_ends/c.0").write_bytes(np.array([11, 17], dtype="<i8").tobytes())
    with pytest.raises(CorruptFileError, match="do not agree"):
        Shard(shard_path).check()


def test_metadata_of_another_layout_is_refused(shard_path: Path) -> None:
    document = json.loads((shard_path / "state/zarr.json").read_text())
    document["chunk_grid"]["configuration"]["chunk_shape"] = [4, 18]
    (shard_path / "state/zarr.json").write_text(json.dumps(document))
    with pytest.raises(CorruptFileError, match="expected one chunk of shape"):
        Shard(shard_path).array("state")
