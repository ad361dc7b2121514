import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judges.curation.watch import WatchVideo
from judges.curation.watch_config import WatchConfig
from pipelines.catalog import CATALOG
from pipelines.testing.stage_contract import check_stage
from storage.errors import ConfigError, UnknownNameError
from storage.formats.human_video.testing import items_of, numbered_scene, read_number
from storage.formats.testing import tiny_video
from storage.ids import Randomness

Watch = Callable[..., Any]


def numbers_of(episode: Any) -> list[int]:
    return [read_number(image) for image in episode.cameras["view"].decode()]


def test_every_frame_of_a_constant_rate_keeps_its_number_and_its_time(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.mp4", numbered_scene(50), rate=Fraction(25))
    (clip,), dropped = watch(tmp_path, frames="copy")
    assert not dropped
    assert numbers_of(clip) == clip.arrays["source_frame"].tolist() == list(range(50))
    assert np.allclose(clip.arrays["source_time"], np.arange(50) / 25)


def test_variable_rate_gives_each_step_the_frame_nearest_in_time(tmp_path: Path, watch: Watch) -> None:
    gaps = np.random.default_rng(3).choice([1, 1, 2, 3], 60)
    times = [Fraction(int(tick), 30) for tick in np.cumsum(gaps) - gaps[0]]
    tiny_video(tmp_path / "a.mp4", numbered_scene(60), rate=Fraction(30), times=times)
    (clip,), _ = watch(tmp_path, frames="copy", listing={"rate_hz": 15.0})
    shown = [float(times[number]) for number in numbers_of(clip)]
    asked = clip.arrays["timestamp"] + shown[0]
    nearest = [min(abs(float(time) - at) for time in times) for at in asked]
    assert np.allclose(np.abs(np.array(shown) - asked), nearest)
    assert np.allclose(clip.arrays["source_time"], shown)
    assert clip.arrays["source_frame"].tolist() == numbers_of(clip)


def test_a_recording_that_lies_on_its_side_is_turned_upright(tmp_path: Path, watch: Watch) -> None:
    upright = numbered_scene(30, height_px=128, width_px=96)
    tiny_video(tmp_path / "a.mp4", np.ascontiguousarray(np.rot90(upright, 3, axes=(1, 2))), rotation_deg=90.0)
    (clip,), _ = watch(tmp_path, frames="copy")
    assert clip.cameras["view"].decode([0]).shape[1:3] == (128, 96)
    assert numbers_of(clip) == list(range(30))


def test_segments_of_a_long_file_hold_every_frame_once_and_in_order(tmp_path: Path, watch: Watch) -> None:
    tiny_video(tmp_path / "a.mp4", numbered_scene(130), rate=Fraction(20), keyframe_every=7)
    clips, dropped = watch(tmp_path, frames="copy", listing={"segment_s": 2.0})
    assert not dropped
    assert [number for clip in clips for number in numbers_of(clip)] == list(range(130))
    assert [frame for clip in clips for frame in clip.arrays["source_frame"]] == list(range(130))


def test_a_cut_parts_clips_and_no_clip_spans_it(tmp_path: Path, watch: Watch) -> None:
    images = np.concatenate([numbered_scene(40), numbered_scene(40, seed=9, first=40)])
    tiny_video(tmp_path / "a.mp4", images)
    clips, _ = watch(tmp_path, frames="copy")
    assert [(clip.length, clip.provenance["source"]["begins_with"]) for clip in clips] == [(40, "start"), (40, "cut")]


def test_black_and_still_stretches_are_clips_that_fail_their_rule(tmp_path: Path, watch: Watch) -> None:
    still = np.repeat(numbered_scene(1, seed=4), 60, axis=0)
    images = np.concatenate([numbered_scene(40), np.zeros((40, 96, 128, 3), np.uint8), still])
    tiny_video(tmp_path / "a.mp4", images)
    clips, _ = watch(tmp_path, frames="copy")
    failed = [{verdict["judge"] for verdict in clip.verdicts if verdict["pass"] is False} for clip in clips]
    assert failed == [set(), {"black"}, {"still"}]


def test_rejected_stretches_can_be_dropped_with_reason_place_and_length(tmp_path: Path, watch: Watch) -> None:
    images = np.concatenate([numbered_scene(40), np.zeros((40, 96, 128, 3), np.uint8)])
    tiny_video(tmp_path / "a.mp4", images)
    clips, (drop,) = watch(tmp_path, frames="copy", rejected="drop")
    assert len(clips) == 1
    assert (drop.reason, drop.score) == ("black", 1.0)
    assert (drop.detail["start_s"], drop.detail["seconds"]) == (2.0, 2.0)


def test_a_pause_in_the_recording_is_a_border_and_is_not_filled(tmp_path: Path, watch: Watch) -> None:
    times = [Fraction(place, 20) + (600 if place >= 30 else 0) for place in range(60)]
    tiny_video(tmp_path / "a.mkv", numbered_scene(60), times=times)
    clips, _ = watch(tmp_path, frames="copy", listing={"rate_hz": 20.0, "segment_s": 7200.0})
    assert [(clip.length, clip.provenance["source"]["begins_with"]) for clip in clips] == [(30, "start"), (30, "gap")]


def test_the_stage_keeps_the_law_of_stages(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny_video(tmp_path / f"{name}.mp4", numbered_scene(30, seed=ord(name)))
    outcomes = check_stage(CATALOG["watch_video"], {"frames": "copy"}, items_of(tmp_path))
    assert [len(found) for found in outcomes] == [1, 1]


def test_a_file_that_vanished_or_changed_costs_itself_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        tiny_video(tmp_path / f"{name}.mp4", numbered_scene(30, seed=ord(name)))
    items = items_of(tmp_path)
    (tmp_path / "a.mp4").unlink()
    shutil.copy(tmp_path / "c.mp4", tmp_path / "b.mp4")
    outcomes = WatchVideo(WatchConfig(frames="copy"))(items, Randomness(0, "watch"))
    found = [(type(each).__name__, getattr(each, "reason", "")) for (each,) in outcomes]
    assert found == [("Dropped", "bad input"), ("Dropped", "bad input"), ("Kept", "")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": "link"}, "unknown way to store frames 'link'"),
        ({"blur_faces": True, "frames": "reference"}, "frames: copy"),
        ({"codec": "lossless"}, "jpeg or high"),
        ({"smallest_px": 0}, "smallest_px at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        WatchConfig(**settings)
