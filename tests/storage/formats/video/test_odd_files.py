"""Videos that are odd and sound, or that would never end."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from storage.errors import SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.testing import tiny_video
from storage.testing import tiny_images


def _matroska(path: Path, stamps_ms: list[int], title: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream("libx264", rate=Fraction(20), options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp, image in zip(stamps_ms, tiny_images(steps=len(stamps_ms)), strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_title_that_is_no_utf8_does_no_harm(tmp_path: Path) -> None:
    path = _matroska(tmp_path / "clips/a.mkv", [0, 50, 100, 150], title="CafXYZ")
    content = path.read_bytes()
    assert b"CafXYZ" in content
    path.write_bytes(content.replace(b"CafXYZ", b"Caf\xe9YZ"))
    (episode,) = read_episodes(ImportConfig(path=str(path.parent)))
    assert episode.length == 4


def test_a_silence_of_an_hour_is_not_filled_with_frames(tmp_path: Path) -> None:
    path = _matroska(tmp_path / "clips/a.mkv", [0, 50, 3_600_000])
    with pytest.raises(SchemaError, match=r"shows nothing new between 0\.\d s and 3600\.0 s"):
        list(read_episodes(ImportConfig(path=str(path.parent))))


def test_a_plain_file_beside_an_odd_one_is_read(tmp_path: Path) -> None:
    tiny_video(tmp_path / "clips/good.mp4", tiny_images(steps=5))
    _matroska(tmp_path / "clips/odd.mkv", [0, 50, 100])
    lengths = sorted(episode.length for episode in read_episodes(ImportConfig(path=str(tmp_path / "clips"))))
    assert np.array_equal(lengths, [3, 5])
