"""What docs/shard-format.md promises an independent implementer, done with nothing but what it says."""

import json
import re
from pathlib import Path

import google_crc32c
import numpy as np

import storage
from storage.testing import tiny_dataset

DOCUMENT = Path(storage.__file__).parent.parent / "docs" / "shard-format.md"


def test_the_program_in_the_document_reads_frames(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    names: dict = {}
    exec(program, names)
    shard = dataset.shard(dataset.units()[0])
    for step in (0, 7, shard.steps - 1):
        assert names["read_frame"](shard.path, "front", step) == bytes(shard.frame("front", step))


def test_episodes_can_be_read_as_the_document_says(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    folder = tmp_path / "data/shards" / f"{dataset.units()[0]}.zarr"
    ends = np.fromfile(folder / "episode_ends/c.0", dtype="<i8")
    state = np.fromfile(folder / "state/c.0.0", dtype="<f4").reshape(ends[-1], -1)
    records = [json.loads(line) for line in (folder / "episode_records/c.0").read_bytes().splitlines()]
    for record, end, episode in zip(records, ends, dataset.episodes(), strict=True):
        assert (record["episode_id"], record["start"] + record["length"]) == (episode.episode_id, end)
        assert np.array_equal(state[record["start"] : end], episode.arrays["state"])


def test_checksums_are_over_whole_files(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    manifest = json.loads(next((tmp_path / "data/manifest").iterdir()).read_text())
    folder = dataset.sink.shard(manifest["unit_id"])
    for file in manifest["shard"]["files"]:
        assert google_crc32c.value((folder / file["path"]).read_bytes()) == file["crc32c"]


def test_every_frame_codec_is_in_the_document() -> None:
    from storage.frames import CODECS

    assert all(f"| `{name}` |" in DOCUMENT.read_text() for name in CODECS)
