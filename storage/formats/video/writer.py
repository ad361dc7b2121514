"""Writing mp4 files through PyAV: frames of a constant rate, one decoded at a time."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import av

from storage.errors import ConfigError, UnknownNameError
from storage.formats.video.pixels import from_rgb
from storage.frames import Frames, frame_codec
from storage.pictures.resizing import RGB

VideoCodec = Literal["h264", "av1"]
_ENCODERS = {"h264": "libx264", "av1": "libsvtav1"}
_SMPTE170M = 6
_LIMITED_RANGE = 1


@dataclass(frozen=True, kw_only=True)
class VideoCoding:
    """How a video is written. `crf` is the quality (0 best, 51 worst for h264, 63 for av1); a keyframe every
    `keyframe_every` frames: 2 keeps random access cheap for trainers, more makes smaller files."""

    codec: VideoCodec = "h264"
    crf: int = 18
    keyframe_every: int = 2
    preset: str = ""

    def __post_init__(self) -> None:
        if self.codec not in get_args(VideoCodec):
            raise UnknownNameError.among("video codec", self.codec, get_args(VideoCodec))
        if not 0 <= self.crf <= 63 or self.keyframe_every < 1:
            raise ConfigError(f"crf is 0..63 and keyframe_every at least 1; got {self.crf} and {self.keyframe_every}")


def rate_fraction(rate_hz: float) -> Fraction:
    """`rate_hz` as the fraction that containers need; float(rate_fraction(r)) == r for every rate below 1000 Hz that
    a camera or a controller has (integers, quarters, 30000/1001, ...)."""
    for denominator in (1, 1001, 100_000):
        fraction = Fraction(rate_hz).limit_denominator(denominator)
        if float(fraction) == rate_hz:
            return fraction
    return Fraction(rate_hz).limit_denominator(100_000)


def write_video(images: Iterable[RGB], path: Path, *, rate_hz: float, coding: VideoCoding | None = None) -> int:
    """Write `images`, each (H, W, 3) uint8, as the mp4 `path`; frame i is shown at i / rate. Returns their number."""
    coding = coding or VideoCoding()
    rate = rate_fraction(rate_hz)
    count = 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = None
        for image in images:
            if stream is None:
                stream = _add_stream(container, image, rate, coding)
            frame = from_rgb(image, stream.pix_fmt)
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    if count == 0:
        path.unlink(missing_ok=True)
        raise ConfigError(f"{path}: a video needs at least one frame; got none")
    return count


def write_frames(frames: Frames, path: Path, *, rate_hz: float, coding: VideoCoding | None = None) -> int:
    """Write a camera of an episode as the mp4 `path`, decoding one frame at a time."""
    if frame_codec(frames.codec).channels != 3:
        raise ConfigError(f"only colour cameras become mp4; {path.name} would hold frames of codec {frames.codec!r}")
    images = (frames.decode([index])[0] for index in range(len(frames)))
    return write_video(images, path, rate_hz=rate_hz, coding=coding)


def _add_stream(container: Any, image: RGB, rate: Fraction, coding: VideoCoding) -> Any:
    height, width = image.shape[:2]
    odd = bool(height % 2 or width % 2)
    if odd and coding.codec == "av1":
        raise ConfigError(f"av1 takes even sizes only; got {width}x{height} px; use h264 or resize")
    # libsvtav1 prints its settings to the terminal unless told so before it starts.
    os.environ.setdefault("SVT_LOG", "1")
    stream = container.add_stream(_ENCODERS[coding.codec], rate=rate, options=_options(coding))
    stream.width, stream.height = width, height
    # 4:2:0 halves the chroma planes and so wants even sizes; 4:4:4 stores any size.
    stream.pix_fmt = "yuv444p" if odd else "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / rate
    context.gop_size = coding.keyframe_every
    # One thread: the bytes must not depend on the number of cores.
    context.thread_count = 1
    context.colorspace, context.color_range = _SMPTE170M, _LIMITED_RANGE
    return stream


def _options(coding: VideoCoding) -> dict[str, str]:
    crf = str(coding.crf)
    if coding.codec == "av1":
        # lp=1: one thread, see above; force-key-frames keeps keyframe_every exact.
        return {"crf": crf, "preset": coding.preset or "10", "svtav1-params": "lp=1"}
    # No B frames: the first frame is then at time zero without an edit list, and every decoder counts alike.
    return {"crf": crf, "preset": coding.preset or "veryfast", "bf": "0", "sc_threshold": "0"}
