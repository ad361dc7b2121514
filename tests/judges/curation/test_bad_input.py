"""Files that cannot be used cost themselves alone: one line each, with a reason."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from storage.errors import InputError, MissingFileError
from storage.formats.human_video.testing import numbered_scene, segments
from storage.formats.testing import tiny_video

Watch = Callable[..., Any]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    tiny_video(tmp_path / "good.mp4", numbered_scene(30))
    return tmp_path


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_half(path: Path) -> None:
    tiny_video(path, numbered_scene(30))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_encrypted(path: Path) -> None:
    """As players of protected video leave it: the sample entry says so (ISO/IEC 23001-7), the media is noise."""
    tiny_video(path, numbered_scene(30))
    content = bytearray(path.read_bytes())
    entry = content.index(b"avc1", content.index(b"stsd"))
    content[entry : entry + 4] = b"encv"
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("empty.mp4", lambda path: path.write_bytes(b""), "does not open"),
        ("noise.mp4", lambda path: path.write_bytes(bytes(range(256)) * 40), "does not open"),
        ("text.mov", lambda path: path.write_text("this is no video"), "does not open"),
        ("sound.mp4", write_sound, "no video stream"),
        ("half.mp4", write_half, "does not open"),
        ("protected.mp4", write_encrypted, "is encrypted"),
        ("dot.mp4", lambda path: tiny_video(path, np.zeros((8, 2, 2, 3), np.uint8)), "smaller than smallest_px"),
    ],
)
def test_a_file_that_is_no_video_is_one_reject_and_the_rest_goes_on(
    good: Path, watch: Watch, name: str, make: Callable[[Path], Any], message: str
) -> None:
    make(good / name)
    clips, (drop,) = watch(good, frames="copy")
    assert len(clips) == 1
    assert drop.reason == "bad input"
    assert drop.detail["file"] == name
    assert message in drop.detail["message"]


def test_what_came_before_the_damage_is_kept_and_the_rest_is_named(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.avi", numbered_scene(200), keyframe_every=10)
    content = bytearray((tmp_path / "a.avi").read_bytes())
    (tmp_path / "a.avi").write_bytes(content[: int(len(content) * 0.6)])
    clips, dropped = watch(tmp_path, frames="copy")
    assert 60 < sum(clip.length for clip in clips) < 190
    assert all("message" in drop.detail for drop in dropped)


def test_four_frames_are_too_short_for_a_clip_and_are_named(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.mp4", numbered_scene(4))
    clips, (drop,) = watch(tmp_path, frames="copy")
    assert not clips
    assert drop.reason == "too short"
    assert drop.detail["seconds"] == pytest.approx(0.2)


def test_names_with_spaces_unicode_and_the_same_name_twice_are_told_apart(tmp_path: Path, watch: Watch) -> None:
    names = ("a b/clip.mp4", "größe/clip.mp4", "日本/clip.mp4")
    for name in names:
        tiny_video(tmp_path / name, numbered_scene(30, seed=len(name)))
    clips, dropped = watch(tmp_path, frames="copy")
    assert not dropped
    assert sorted(clip.provenance["source"]["file"] for clip in clips) == sorted(names)
    assert len({clip.episode_id for clip in clips}) == 3


def test_captions_outside_of_the_video_or_of_missing_files_are_named(good: Path, watch: Watch) -> None:
    rows = [
        {"file": "good.mp4", "caption": "far away", "start_s": 100, "stop_s": 103},
        {"file": "gone.mp4", "caption": "nothing"},
        {"file": "good.mp4", "caption": "backwards", "start_s": 1.0, "stop_s": 0.5},
    ]
    (good / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    clips, dropped = watch(good, frames="copy")
    assert len(clips) == 1
    reasons = sorted(drop.reason for drop in dropped)
    assert reasons == ["bad annotation", "bad annotation", "bad input", "narrated outside of the video"]


def test_overlapping_captions_are_told_apart_and_the_hidden_one_is_named(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.mp4", numbered_scene(100), rate=Fraction(20))
    spans = [("first", 0, 3), ("hidden", 0.5, 2), ("second", 2, 5)]
    rows = [{"file": "a.mp4", "caption": text, "start_s": start, "stop_s": stop} for text, start, stop in spans]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    clips, (drop,) = watch(tmp_path, frames="copy")
    assert [(clip.instruction, clip.length) for clip in clips] == [("first", 60), ("second", 40)]
    assert (drop.reason, drop.detail["narration"]) == ("overlaps another segment", "hidden")


def test_a_folder_without_videos_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no video"):
        segments(tmp_path)
    with pytest.raises(MissingFileError, match="is not there"):
        segments(tmp_path / "gone")


def test_time_stamps_a_thousand_hours_apart_end_in_time(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.mp4", numbered_scene(3), times=[Fraction(0), Fraction(1, 20), Fraction(3_600_000)])
    clips, dropped = watch(tmp_path, frames="copy")
    assert not clips
    assert {drop.reason for drop in dropped} <= {"too short", "bad input"}
    assert dropped


def test_a_title_that_is_not_utf8_does_not_matter(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.mkv", numbered_scene(30))
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content.replace(b"Lavf", b"L\xe9vf"))
    clips, dropped = watch(tmp_path, frames="copy")
    assert (len(clips), dropped) == (1, [])
