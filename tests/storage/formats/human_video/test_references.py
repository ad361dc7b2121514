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
from storage.errors import ConfigError, CorruptFileError, MissingFileError, SchemaError
from storage.formats.human_video.testing import items_of, numbered_scene, read_number
from storage.formats.testing import tiny_video
from storage.formats.video import source_frames
from storage.formats.video.frame_folder import FOLDER_VARIABLE, SIZE_VARIABLE, FrameFolder, GroupKey
from storage.frames import frame_codec
from storage.ids import Randomness
from storage.outcomes import Kept
from storage.pictures.source_frame import Group, SourceFrame
from storage.testing import write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
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


@pytest.mark.parametrize("harm", [lambda content: content[:100], lambda content: content[:-9], lambda _: b""])
def test_the_folder_of_frames_gives_the_same_and_mends_itself(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[bytes], bytes]
) -> None:
    episode = clips(video.parent, "reference")[0]
    first = episode.cameras["view"].decode([3, 49])
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    source_frames.forget()
    assert np.array_equal(episode.cameras["view"].decode([3, 49]), first)
    cached = sorted((tmp_path / "cache").rglob("*.frames"))
    assert cached
    source_frames.forget()
    assert np.array_equal(episode.cameras["view"].decode([3, 49]), first)
    for path in cached:
        path.write_bytes(harm(path.read_bytes()))
    source_frames.forget()
    assert np.array_equal(episode.cameras["view"].decode([3, 49]), first)


def test_watching_a_video_leaves_its_frames_in_the_folder_so_that_nobody_decodes_it_again(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [image for each in clips(video.parent, "copy") for image in each.cameras["view"].decode()]
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    found = clips(video.parent, "reference")
    monkeypatch.setattr(source_frames, "_decoder_of", lambda group: pytest.fail(f"decodes {group} again"))
    assert np.array_equal([image for each in found for image in each.cameras["view"].decode()], expected)


def test_a_full_folder_takes_nothing_new_and_keeps_what_it_has(tmp_path: Path) -> None:
    folder, group = FrameFolder(tmp_path, 3000), GroupKey("video.mp4", 1, "0", (4, 4))
    folder.write(group, 0, {5: ("1/4", b"x" * 1000)})
    folder.write(group, 1, {64: ("2", b"y" * 3000)})
    assert folder.read(group, 5, "1/4") == b"x" * 1000
    assert folder.read(group, 64, "2") is None
    assert folder.read(group, 5, "1/2") is None, "the frame of another moment"


def test_the_folder_can_be_switched_off_and_must_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.formats.video.frame_folder import frame_folder

    for value in ("none", "NONE"):
        monkeypatch.setenv(FOLDER_VARIABLE, value)
        assert frame_folder() is None
    monkeypatch.setenv(FOLDER_VARIABLE, "somewhere")
    monkeypatch.setenv(SIZE_VARIABLE, "much")
    with pytest.raises(ConfigError, match="number of gigabytes"):
        frame_folder()


def test_a_reference_says_where_decoding_begins(video: Path) -> None:
    episode = clips(video.parent, "reference")[0]
    named = SourceFrame.from_payload(episode.cameras["view"].payloads[7])
    assert named.group == Group(Fraction(0), 7, 50)
    assert SourceFrame.from_payload(named.payload()) == named
    plain = SourceFrame(named.root, named.file, named.seconds)
    out = np.empty((96, 128, 3), np.uint8)
    source_frames.read_source_frame(plain.payload(), out)
    assert read_number(out) == 7, "references of an earlier version, which name no key frame"


def test_random_frames_of_groups_of_every_length_are_the_right_ones(tmp_path: Path) -> None:
    for every in (1, 7, 64, 65, 200):
        path = tmp_path / f"{every}" / "video.mp4"
        tiny_video(path, numbered_scene(200), rate=Fraction(20), keyframe_every=every)
        episodes = clips(path.parent, "reference")
        payloads = [payload for each in episodes for payload in each.cameras["view"].payloads]
        out = np.empty((96, 128, 3), np.uint8)
        for number in np.random.default_rng(every).integers(0, 200, 30):
            source_frames.read_source_frame(payloads[number], out)
            assert read_number(out) == number


def test_windows_of_references_are_drawn_from_neighbours_and_each_once(tmp_path: Path, video: Path) -> None:
    both = [windows(dataset(tmp_path / way, clips(video.parent, way))) for way in ("copy", "reference")]
    orders = [WindowSampler(each, batch_size=10, seed=1) for each in both]
    drawn = [[number for batch in order for number in batch] for order in orders]
    assert sorted(drawn[0]) == sorted(drawn[1]) == list(range(300))
    assert drawn[0] != drawn[1]
    with pytest.raises(ConfigError, match="other windows"):
        orders[1].seek(orders[0].state_at(1))


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


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "frames"))
    episode = clips(video.parent, "reference")[0]
    assert read_number(episode.cameras["view"].decode([9])[0]) == 9
