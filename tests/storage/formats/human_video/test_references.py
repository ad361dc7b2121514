"""Shards that name frames in place of holding them."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from judges.curation.watch import WatchVideo
from judges.curation.watch_config import WatchConfig
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import CorruptFileError, MissingFileError, SchemaError
from storage.formats.human_video.testing import items_of, numbered_scene, read_number
from storage.formats.testing import tiny_video
from storage.formats.video import source_frames
from storage.frames import frame_codec
from storage.ids import Randomness
from storage.outcomes import Kept
from storage.pictures.source_frame import SourceFrame
from storage.testing import write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows
from storage.verification.verify import verify


@pytest.fixture(autouse=True)
def _forget() -> None:
    source_frames.forget()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    tiny_video(tmp_path / "videos/long.mp4", numbered_scene(300), rate=Fraction(20), keyframe_every=50)
    return tmp_path / "videos/long.mp4"


def clips(path: Path, frames: str) -> list[Episode]:
    outcomes = WatchVideo(WatchConfig(frames=frames))(items_of(path), Randomness(0, "watch"))  # type: ignore[arg-type]
    return [each.episode for found in outcomes for each in found if isinstance(each, Kept)]


def dataset(root: Path, episodes: list[Episode]) -> Dataset:
    Dataset.create(root, name=root.name)
    write_unit(root, episodes)
    return Dataset.open(root)


def windows(data: Dataset) -> Windows:
    return Windows([Source(dataset=data, action="")], WindowConfig(cameras={"view": ("view",)}, horizon_steps=1))


def test_a_shard_of_references_holds_no_pixel_and_gives_the_frames_of_its_source(tmp_path: Path, video: Path) -> None:
    data = dataset(tmp_path / "data", clips(video.parent, "reference"))
    shard = data.open_shard(data.units()[0])
    assert max(len(shard.frame("view", row)) for row in range(shard.steps)) < 200
    numbers = [read_number(image) for episode in data.episodes() for image in episode.cameras["view"].decode()]
    assert numbers == list(range(300))


def test_random_windows_are_those_of_a_copy_to_the_bit(tmp_path: Path, video: Path) -> None:
    both = [windows(dataset(tmp_path / way, clips(video.parent, way))) for way in ("copy", "reference")]
    chosen = np.random.default_rng(0).permutation(len(both[0]))[:40].tolist()
    copied, named = (each.__getitems__(chosen)["images"]["view"] for each in both)
    assert np.array_equal(copied, named)


def test_the_cache_on_the_disk_gives_the_same_and_mends_itself(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(source_frames.CACHE_VARIABLE, str(tmp_path / "cache"))
    episode = clips(video.parent, "reference")[0]
    first = episode.cameras["view"].decode([3, 90])
    cached = sorted((tmp_path / "cache").rglob("*.frames"))
    assert cached
    source_frames.forget()
    assert np.array_equal(episode.cameras["view"].decode([3, 90]), first)
    for path in cached:
        path.write_bytes(path.read_bytes()[:100])
    source_frames.forget()
    assert np.array_equal(episode.cameras["view"].decode([3, 90]), first)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "message"), [(Path.unlink, "is not there"), (_flip, "has changed")], ids=["vanished", "changed"]
)
def test_verify_finds_a_source_that_vanished_or_changed(
    tmp_path: Path, video: Path, harm: Callable[[Path], None], message: str
) -> None:
    data = dataset(tmp_path / "data", clips(video.parent, "reference"))
    assert [each for each in verify(data.root) if each.kind == "source"] == []
    harm(video)
    (finding,) = (each for each in verify(data.root) if each.kind == "source")
    assert message in str(finding)


def test_a_source_that_was_moved_is_found_where_the_variable_says(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = clips(video.parent, "reference")[0]
    shutil.move(str(video.parent), str(tmp_path / "elsewhere"))
    with pytest.raises(MissingFileError, match="PYRAMID_SOURCES"):
        episode.cameras["view"].decode([0])
    monkeypatch.setenv("PYRAMID_SOURCES", str(tmp_path / "elsewhere"))
    assert read_number(episode.cameras["view"].decode([7])[0]) == 7


def test_a_licence_that_forbids_copies_makes_references_unless_the_recipe_says_otherwise(video: Path) -> None:
    items = [{**item, "may_copy": False} for item in items_of(video.parent)]
    for frames, codec in (("auto", "reference"), ("copy", "jpeg")):
        ((first, *_),) = WatchVideo(WatchConfig(frames=frames))(items, Randomness(0, "watch"))  # type: ignore[arg-type]
        assert isinstance(first, Kept)
        assert first.episode.cameras["view"].codec == codec


def test_a_time_that_the_source_does_not_have_and_a_broken_reference_are_named(video: Path) -> None:
    out = np.empty((96, 128, 3), np.uint8)
    with pytest.raises(CorruptFileError, match="no frame at 99"):
        source_frames.read_source_frame(SourceFrame(str(video.parent), video.name, Fraction(99)).payload(), out)
    with pytest.raises(CorruptFileError, match="does not read"):
        source_frames.read_source_frame(b"{}", out)
    with pytest.raises(SchemaError, match="cannot store an image"):
        frame_codec("reference").encode(out)
