"""Every codec and container that people have video in is read, copied or referred to, frame by frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from storage.formats.human_video.testing import numbered_scene, read_number

Watch = Callable[..., Any]
CODECS = {
    "a.webm": ("libvpx-vp9", {}),
    "b.mkv": ("libx265", {"x265-params": "log-level=none"}),
    "c.mp4": ("libsvtav1", {}),
    "d.mov": ("libx264", {"bf": "3"}),
    "e.avi": ("mpeg4", {}),
}


def write(path: Path, codec: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w") as container:
        try:
            stream: Any = container.add_stream(codec, rate=30, options=options)
        except (ValueError, av.error.FFmpegError):
            pytest.skip(f"this build of PyAV has no encoder {codec}")
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for image in numbered_scene(45):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("frames", ["copy", "reference"])
def test_frames_of_every_codec_keep_their_numbers_and_times(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, name: str, frames: str
) -> None:
    monkeypatch.setenv("PYRAMID_FRAME_CACHE", "none")
    write(tmp_path / name, *CODECS[name])
    (clip,), dropped = watch(tmp_path, frames=frames)
    assert not dropped
    places = range(0, 45, 4)
    shown = [read_number(image) for image in clip.cameras["view"].decode(places)]
    assert shown == clip.arrays["source_frame"][list(places)].tolist() == list(places)
    assert clip.arrays["source_time"] == pytest.approx([number / 30 for number in range(45)], abs=1 / 60)
