"""Writing mp4: what is read back is what was written, at exactly the times that were meant."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import ConfigError, UnknownNameError
from storage.formats.video.reader import frames_of, probe
from storage.formats.video.writer import VideoCoding, rate_fraction, write_frames, write_video
from storage.frames import Frames
from storage.testing import tiny_images


@pytest.mark.parametrize("size_px", [(32, 48), (31, 47)])
@pytest.mark.parametrize("rate_hz", [20.0, 8.0, 30000 / 1001, 12.5])
def test_what_is_written_is_read_back(tmp_path: Path, size_px: tuple[int, int], rate_hz: float) -> None:
    images = tiny_images(1, height_px=size_px[0], width_px=size_px[1])
    assert write_video(iter(images), tmp_path / "a.mp4", rate_hz=rate_hz, coding=VideoCoding(crf=5)) == 12
    read = list(frames_of(tmp_path / "a.mp4"))
    assert [float(seconds) for seconds, _ in read] == [float(step / rate_fraction(rate_hz)) for step in range(12)]
    difference = np.stack([image for _, image in read]).astype(float) - images
    assert 10 * np.log10(255**2 / np.square(difference).mean()) > 30
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.5
    assert float(probe(tmp_path / "a.mp4").rate) == rate_hz


def test_av1_is_written_too(tmp_path: Path) -> None:
    images = tiny_images(1, height_px=64, width_px=64)
    write_video(iter(images), tmp_path / "a.mp4", rate_hz=20, coding=VideoCoding(codec="av1", crf=20))
    assert probe(tmp_path / "a.mp4").frames == 12
    read = np.stack([image for _, image in frames_of(tmp_path / "a.mp4")])
    assert 10 * np.log10(255**2 / np.square(read.astype(float) - images).mean()) > 30


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    frames = Frames.encode(tiny_images())
    for name in ("a.mp4", "b.mp4"):
        write_frames(frames, tmp_path / name, rate_hz=20)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@given(numerator=st.integers(1, 240), denominator=st.sampled_from([1, 2, 4, 5, 10, 1001]))
def test_every_usual_rate_survives_as_a_fraction(numerator: int, denominator: int) -> None:
    rate_hz = numerator / denominator if denominator != 1001 else numerator * 1000 / 1001
    assert float(rate_fraction(rate_hz)) == rate_hz


def test_the_rate_of_american_video_is_found_again() -> None:
    assert rate_fraction(30000 / 1001) == Fraction(30000, 1001)


def test_a_video_without_frames_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one frame"):
        write_video(iter(()), tmp_path / "a.mp4", rate_hz=20)
    assert not (tmp_path / "a.mp4").exists()


def test_depth_and_masks_are_no_video(tmp_path: Path) -> None:
    masks = Frames.encode([np.zeros((8, 8), np.uint8)], "mask")
    with pytest.raises(ConfigError, match="only colour cameras become mp4"):
        write_frames(masks, tmp_path / "a.mp4", rate_hz=20)


def test_odd_sizes_in_av1_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="av1 takes even sizes only; got 47x31 px"):
        write_video(
            iter(tiny_images(height_px=31, width_px=47)),
            tmp_path / "a.mp4",
            rate_hz=20,
            coding=VideoCoding(codec="av1"),
        )


def test_unknown_codecs_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean h264"):
        VideoCoding(codec="h265")  # type: ignore[arg-type]
