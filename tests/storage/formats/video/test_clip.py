"""A video on a constant rate: nothing is lost where the file has that rate; every frame knows where it came from."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from storage.errors import SchemaError
from storage.formats.testing import tiny_video
from storage.formats.video.clip import FrameCoding, encode_video, read_clip
from storage.pictures.resizing import Resize
from storage.testing import tiny_images

HIGH = FrameCoding(codec="high")


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("rate", [Fraction(20), Fraction(30000, 1001)])
def test_a_constant_rate_keeps_every_frame_and_its_exact_time(tmp_path: Path, rate: Fraction) -> None:
    images = tiny_video(tmp_path / "a.mp4", rate=rate)
    clip = read_clip(tmp_path / "a.mp4", HIGH)
    assert clip.timestamp.tolist() == [float(step / rate) for step in range(12)]
    assert clip.source_frame.tolist() == list(range(12))
    assert (clip.rate, clip.resampled) == (rate, False)
    assert _psnr(clip.frames.decode(), images) > 30


def test_small_jitter_is_kept_and_not_resampled(tmp_path: Path) -> None:
    times = [Fraction(step, 20) + Fraction((step * 7) % 3, 400) for step in range(12)]
    tiny_video(tmp_path / "a.mp4", times=times)
    clip = read_clip(tmp_path / "a.mp4", HIGH, rate=Fraction(20))
    assert not clip.resampled
    assert clip.timestamp.tolist() == [float(time - times[0]) for time in times]


def test_a_variable_rate_gives_the_nearest_frame_of_each_step(tmp_path: Path) -> None:
    times = [Fraction(step, 20) for step in (0, 1, 2, 5, 6, 7, 12, 13, 14, 15, 16, 17)]
    tiny_video(tmp_path / "a.mp4", times=times)
    clip = read_clip(tmp_path / "a.mp4", HIGH, rate=Fraction(20))
    assert clip.resampled
    assert clip.source_frame.tolist() == [0, 1, 2, 2, 3, 3, 4, 5, 5, 5, 6, 6, 6, 7, 8, 9, 10, 11]
    assert clip.timestamp.tolist() == [step / 20 for step in range(18)]


def test_half_the_rate_takes_every_second_frame(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    clip = read_clip(tmp_path / "a.mp4", HIGH, rate=Fraction(10))
    assert clip.source_frame.tolist() == [0, 2, 4, 6, 8, 10]
    whole = encode_video(tmp_path / "a.mp4", HIGH)
    assert [bytes(payload) for payload in clip.frames.payloads] == [bytes(p) for p in whole.payloads[::2]]


def test_a_segment_is_a_piece_of_the_whole(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    whole = read_clip(tmp_path / "a.mp4", HIGH)
    piece = read_clip(tmp_path / "a.mp4", HIGH, start_s=0.24, stop_s=0.44)
    assert piece.source_frame.tolist() == [5, 6, 7, 8]
    assert piece.timestamp[0] == 0
    assert list(piece.frames.payloads) == list(whole.frames.payloads[5:9])


def test_a_segment_of_a_variable_rate_counts_frames_from_the_start_of_the_file(tmp_path: Path) -> None:
    times = [Fraction(step, 20) for step in (0, 1, 2, 5, 6, 7, 12, 13, 14, 15, 16, 17)]
    tiny_video(tmp_path / "a.mp4", times=times)
    piece = read_clip(tmp_path / "a.mp4", HIGH, rate=Fraction(20), start_s=0.59)
    assert piece.source_frame.tolist() == [6, 7, 8, 9, 10, 11]


def test_a_span_without_frames_says_how_long_the_file_is(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    with pytest.raises(SchemaError, match=r"no frame between 9\.0 and inf s; it lasts 0\.60 s"):
        read_clip(tmp_path / "a.mp4", HIGH, start_s=9.0)


def test_frames_are_resized_as_they_are_decoded(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4", tiny_images(height_px=64, width_px=96))
    clip = read_clip(tmp_path / "a.mp4", FrameCoding(resize=Resize(size_px=(16, 24))))
    assert (clip.frames.height_px, clip.frames.width_px) == (16, 24)
    assert clip.frames.decode().shape == (12, 16, 24, 3)


@pytest.mark.parametrize("rotation_deg", [90, 180])
def test_a_lying_video_is_turned_and_resized(tmp_path: Path, rotation_deg: int) -> None:
    tiny_video(tmp_path / "a.mp4", tiny_images(height_px=64, width_px=96), rotation_deg=rotation_deg)
    whole = read_clip(tmp_path / "a.mp4", HIGH).frames
    assert (whole.height_px, whole.width_px) == ((96, 64) if rotation_deg == 90 else (64, 96))
    half = FrameCoding(codec="high", resize=Resize(size_px=(whole.height_px // 2, whole.width_px // 2)))
    small = read_clip(tmp_path / "a.mp4", half).frames.decode([0])[0].astype(float)
    expected = whole.decode([0])[0].reshape(small.shape[0], 2, small.shape[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).mean() < 2
