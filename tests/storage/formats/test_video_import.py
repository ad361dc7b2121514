"""Folders of videos: captions, cameras, segments, and one bad file among good ones."""

from fractions import Fraction
from pathlib import Path

import pytest

from storage.errors import ConfigError, CorruptFileError, MissingFileError, SchemaError
from storage.formats.import_item import ImportConfig, VideoOptions
from storage.formats.import_stage import embodiments_of, list_items, read_episodes, read_item
from storage.formats.testing import tiny_video, write_lines
from storage.testing import tiny_images


def _folder(root: Path, *names: str) -> Path:
    for place, name in enumerate(names):
        tiny_video(root / name, tiny_images(place))
    return root


def test_every_video_becomes_an_episode_of_a_person(tmp_path: Path) -> None:
    episodes = list(read_episodes(ImportConfig(path=str(_folder(tmp_path, "a.mp4", "deep/b.mp4")))))
    assert [episode.provenance["imported"]["cameras"]["view"] for episode in episodes] == ["a.mp4", "deep/b.mp4"]
    for episode in episodes:
        assert (episode.layer, episode.embodiment, episode.length, episode.rate_hz) == ("human", "human", 12, 20.0)
        assert episode.arrays["timestamp"].tolist() == [step / 20 for step in range(12)]
        assert episode.arrays["source_frame"].tolist() == list(range(12))


def test_captions_become_instructions_and_stay_in_the_provenance(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4", "b.mp4")
    write_lines(tmp_path / "captions.jsonl", [{"file": "a.mp4", "caption": "open the drawer", "licence": "mine"}])
    first, second = read_episodes(ImportConfig(path=str(tmp_path), instruction="do something"))
    assert (first.instruction, second.instruction) == ("open the drawer", "do something")
    assert first.provenance["caption"]["licence"] == "mine"


def test_captions_under_another_name_and_key(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4")
    write_lines(tmp_path / "clips.jsonl", [{"file": "a.mp4", "shows": "a hand"}])
    config = ImportConfig(path=str(tmp_path), videos=VideoOptions(captions_file="clips.jsonl", caption_key="shows"))
    assert [episode.instruction for episode in read_episodes(config)] == ["a hand"]


def test_files_of_a_folder_can_be_cameras_of_one_episode(tmp_path: Path) -> None:
    _folder(tmp_path, "one/left.mp4", "one/wrist.mp4", "two/left.mp4", "two/wrist.mp4")
    config = ImportConfig(path=str(tmp_path), layer="real", videos=VideoOptions(files_are="cameras"))
    episodes = list(read_episodes(config))
    assert [sorted(episode.cameras) for episode in episodes] == [["left", "wrist"]] * 2
    only = ImportConfig(path=str(tmp_path), cameras=("wrist",), videos=VideoOptions(files_are="cameras"))
    assert [sorted(episode.cameras) for episode in read_episodes(only)] == [["wrist"]] * 2


def test_cameras_of_different_length_are_refused_or_cut(tmp_path: Path) -> None:
    tiny_video(tmp_path / "left.mp4", tiny_images(steps=12))
    tiny_video(tmp_path / "wrist.mp4", tiny_images(steps=10))
    cameras = VideoOptions(files_are="cameras")
    with pytest.raises(SchemaError, match=r"'left': 12, 'wrist': 10.*length_tolerance_frames"):
        list(read_episodes(ImportConfig(path=str(tmp_path), videos=cameras)))
    (episode,) = read_episodes(ImportConfig(path=str(tmp_path), videos=cameras, length_tolerance_frames=2))
    assert episode.length == 10


def test_long_videos_are_cut_into_segments_that_cover_them_once(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4", tiny_images(steps=40))
    config = ImportConfig(path=str(tmp_path), videos=VideoOptions(segment_s=0.5))
    episodes = list(read_episodes(config))
    numbers = [number for episode in episodes for number in episode.arrays["source_frame"].tolist()]
    assert numbers == list(range(40))
    assert [episode.length for episode in episodes] == [10, 10, 10, 10]
    assert len({episode.episode_id for episode in episodes}) == 4


def test_another_rate_samples_the_video(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4", tiny_images(steps=12), rate=Fraction(30))
    (episode,) = read_episodes(ImportConfig(path=str(tmp_path), rate_hz=10))
    assert (episode.rate_hz, episode.length) == (10.0, 4)
    assert episode.arrays["source_frame"].tolist() == [0, 3, 6, 9]
    assert episode.provenance["imported"]["resampled"]


def test_units_hold_videos_of_one_size_and_rate(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    tiny_video(tmp_path / "b.mp4", tiny_images(height_px=64, width_px=64))
    tiny_video(tmp_path / "c.mp4", rate=Fraction(30))
    tiny_video(tmp_path / "d.mp4")
    assert [len(unit) for unit in list_items(ImportConfig(path=str(tmp_path)))] == [2, 1, 1]
    assert [len(unit) for unit in list_items(ImportConfig(path=str(tmp_path), size_px=(16, 16)))] == [3, 1]


def test_one_damaged_file_among_good_ones_still_gets_its_item(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "b.mp4").write_bytes((tmp_path / "b.mp4").read_bytes()[:500])
    config = ImportConfig(path=str(tmp_path))
    items = [item for unit in list_items(config) for item in unit]
    assert len(items) == 3
    (bad,) = [item for item in items if "b.mp4" in item["name"]]
    with pytest.raises(CorruptFileError, match=r"b\.mp4 does not open as a video"):
        read_item(bad, config)


def test_when_no_file_can_be_read_the_import_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(CorruptFileError, match=r"a\.mp4 does not open as a video"):
        list_items(ImportConfig(path=str(tmp_path)))


def test_a_captions_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4")
    with pytest.raises(MissingFileError, match=r"clips\.jsonl is not there"):
        list_items(ImportConfig(path=str(tmp_path), videos=VideoOptions(captions_file="clips.jsonl")))


def test_a_broken_caption_line_is_named(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4")
    (tmp_path / "captions.jsonl").write_text('{"file": "a.mp4", "caption": "x"}\n{"caption": "y"}\n')
    with pytest.raises(CorruptFileError, match=r"captions\.jsonl, line 2"):
        list_items(ImportConfig(path=str(tmp_path)))


def test_episodes_that_are_not_there_are_refused(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4", "b.mp4")
    assert len(list(read_episodes(ImportConfig(path=str(tmp_path), episodes=(1,))))) == 1
    with pytest.raises(ConfigError, match=r"has no episodes \[7\]; it has 2"):
        list_items(ImportConfig(path=str(tmp_path), episodes=(1, 7)))


def test_a_new_embodiment_of_videos_is_declared(tmp_path: Path) -> None:
    _folder(tmp_path, "a.mp4")
    assert embodiments_of(list_items(ImportConfig(path=str(tmp_path), embodiment="a_dog")))["a_dog"].action.size == 0
