"""Reading videos: exact times, upright and unbiased pixels, and clear words about damaged files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from storage.errors import CorruptFileError, MissingFileError
from storage.formats.testing import tiny_video
from storage.formats.video.reader import frames_of, is_constant_rate, presentation_times, probe
from storage.testing import tiny_images


def test_a_header_tells_size_rate_and_length(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4", rate=Fraction(30000, 1001))
    info = probe(tmp_path / "a.mp4")
    assert (info.height_px, info.width_px, info.frames, info.codec) == (32, 48, 12, "h264")
    assert info.rate == Fraction(30000, 1001)


@pytest.mark.parametrize("rate", [Fraction(20), Fraction(15), Fraction(30000, 1001), Fraction(25, 2)])
def test_frames_come_at_their_exact_presentation_times(tmp_path: Path, rate: Fraction) -> None:
    tiny_video(tmp_path / "a.mp4", rate=rate)
    assert [seconds for seconds, _ in frames_of(tmp_path / "a.mp4")] == [step / rate for step in range(12)]


def test_a_variable_rate_is_read_as_it_is(tmp_path: Path) -> None:
    times = [Fraction(step * step, 100) for step in range(12)]
    tiny_video(tmp_path / "a.mp4", times=times)
    assert [seconds for seconds, _ in frames_of(tmp_path / "a.mp4")] == times
    assert presentation_times(tmp_path / "a.mp4") == times
    assert not is_constant_rate(times, probe(tmp_path / "a.mp4").rate)


def test_millisecond_stamps_still_mean_the_nominal_rate(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mkv", rate=Fraction(30))
    assert probe(tmp_path / "a.mkv").rate == 30
    assert is_constant_rate(presentation_times(tmp_path / "a.mkv"), Fraction(30))


def test_a_piece_of_a_video_holds_the_same_frames_as_the_whole(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    whole = list(frames_of(tmp_path / "a.mp4"))
    piece = list(frames_of(tmp_path / "a.mp4", start_s=0.3, stop_s=0.5))
    assert [seconds for seconds, _ in piece] == [Fraction(6, 20), Fraction(7, 20), Fraction(8, 20), Fraction(9, 20)]
    assert all((image == whole[6 + place][1]).all() for place, (_, image) in enumerate(piece))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv422p"])
def test_pixels_come_back_without_a_colour_bias(tmp_path: Path, pixel_format: str) -> None:
    images = tiny_video(tmp_path / "a.mp4", tiny_images(3, height_px=64, width_px=64), pixel_format=pixel_format)
    read = np.stack([image for _, image in frames_of(tmp_path / "a.mp4")])
    difference = read.astype(float) - images
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.5
    assert 10 * np.log10(255**2 / np.square(difference).mean()) > 34


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_a_video_that_lies_on_its_side_is_set_upright(tmp_path: Path, rotation_deg: int) -> None:
    lying = np.zeros((3, 32, 48, 3), np.uint8)
    lying[:, :16, :24] = 255  # one bright corner tells the orientation
    tiny_video(tmp_path / "plain.mp4", lying)
    tiny_video(tmp_path / "a.mp4", lying, rotation_deg=rotation_deg)
    ((_, plain), *_), ((_, turned), *_) = frames_of(tmp_path / "plain.mp4"), frames_of(tmp_path / "a.mp4")
    assert (turned == np.rot90(plain, rotation_deg // 90)).all()
    info = probe(tmp_path / "a.mp4")
    assert (info.height_px, info.width_px) == turned.shape[:2]


def test_frames_stream_before_the_rest_of_the_file_is_read(tmp_path: Path) -> None:
    path = _cut(tmp_path, keep=0.6)
    frames = frames_of(path)
    next(frames)
    with pytest.raises(CorruptFileError):
        list(frames)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nowhere\.mp4 is not there"):
        probe(tmp_path / "nowhere.mp4")


def test_a_file_cut_off_before_its_index_does_not_open(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match="does not open as a video"):
        probe(tmp_path / "a.mp4")


def test_a_file_cut_off_behind_its_index_does_not_pass_as_a_shorter_one(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"declares 40 frames, only \d+|stops decoding after \d+"):
        list(frames_of(_cut(tmp_path, keep=0.6)))


def test_damage_inside_a_file_is_found(tmp_path: Path) -> None:
    path = _faststart(tmp_path)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 8 + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError):
        list(frames_of(path))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("not a video" * 100)
    with pytest.raises(CorruptFileError, match="does not open as a video"):
        probe(tmp_path / "a.mp4")


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(CorruptFileError, match="holds no video stream"):
        probe(tmp_path / "a.mp4")


def test_an_unknown_codec_is_named_as_the_cause(tmp_path: Path) -> None:
    tiny_video(tmp_path / "a.mp4")
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content.replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    with pytest.raises(CorruptFileError, match=r"codec .*convert it to H\.264 or AV1"):
        probe(tmp_path / "a.mp4")


def _faststart(folder: Path) -> Path:
    """A video of 40 frames whose index comes first, so that a cut leaves it readable."""
    from storage.formats.video.writer import write_video

    random = np.random.default_rng(0)
    images = random.integers(0, 255, (40, 32, 48, 3), dtype=np.uint8)
    write_video(iter(images), folder / "a.mp4", rate_hz=20)
    return folder / "a.mp4"


def _cut(folder: Path, *, keep: float) -> Path:
    path = _faststart(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path
