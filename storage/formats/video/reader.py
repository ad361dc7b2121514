"""Reading videos through PyAV: what a file holds, and its frames one by one with exact presentation times.

Memory is that of one frame and of the decoder's reference frames, whatever the length. Times are fractions of a second
after the first frame, straight from the presentation time stamps of the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from storage.errors import CorruptFileError, MissingFileError
from storage.formats.untrusted.limits import check_image
from storage.formats.video.pixels import quarter_turns, to_rgb
from storage.pictures.resizing import RGB

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
_NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
_AGAIN = "fetch or record the file again, or leave it out"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video file says about itself. Sizes are as shown, after any rotation. `frames` is the number that the
    file declares (0: it does not say), `rate` frames a second as a nominal constant."""

    path: Path
    codec: str
    height_px: int
    width_px: int
    rate: Fraction
    frames: int
    duration_s: float
    pixel_format: str = ""


def probe(path: Path) -> VideoInfo:
    """Facts from the file's header and its first frame; raises MissingFileError or CorruptFileError."""
    with opened_video(path) as (container, stream):
        first = next(_decoded(path, container, stream), None)
        if first is None:
            raise CorruptFileError(f"{path} holds no frame at all; {_AGAIN}")
        check_image(str(path), first.height, first.width)
        height, width = first.height, first.width
        if quarter_turns(first) % 2:
            height, width = width, height
        return VideoInfo(
            path=path,
            codec=stream.codec_context.name,
            height_px=height,
            width_px=width,
            rate=_nominal_rate(stream),
            frames=int(stream.frames),
            duration_s=_duration_s(container, stream),
            pixel_format=first.format.name,
        )


def frames_of(path: Path, *, start_s: float = 0.0, stop_s: float = float("inf")) -> Iterator[tuple[Fraction, RGB]]:
    """(seconds after the first frame of the file, image (H, W, 3) uint8) for start_s <= seconds < stop_s, in order."""
    return ((seconds, to_rgb(frame)) for seconds, frame in decoded(path, start_s=start_s, stop_s=stop_s))


def decoded(
    path: Path, *, start_s: float = 0.0, stop_s: float = float("inf"), seek_s: float | None = None
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """As `frames_of`, before the conversion to RGB, which costs as much as the decoding. Decoding begins at the last
    keyframe before `seek_s` (`start_s` by default), for sources that know where theirs are.

    Raises CorruptFileError where decoding stops, and after the last frame when the file declares more than it holds.
    """
    with opened_video(path) as (container, stream):
        zero = int(stream.start_time or 0)
        start, seek = Fraction(start_s), Fraction(start_s if seek_s is None else seek_s)
        if seek > 0:
            _seek(path, container, stream, zero + int(seek / stream.time_base))
        for frame in _decoded(path, container, stream, whole=seek <= 0):
            seconds = (_stamp(path, frame) - zero) * stream.time_base
            if seconds >= stop_s:
                return
            if seconds >= start:
                yield seconds, frame


def presentation_times(path: Path) -> list[Fraction]:
    """The presentation time of every frame, seconds after the first one, without decoding any."""
    with opened_video(path) as (container, stream):
        try:
            stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        except av.error.FFmpegError as error:
            raise CorruptFileError(f"{path} cannot be read to its end ({error}); {_AGAIN}") from error
        zero = int(stream.start_time or 0)
        return [(stamp - zero) * stream.time_base for stamp in sorted(stamps) if stamp >= zero]


def is_constant_rate(times: list[Fraction], rate: Fraction) -> bool:
    """Whether every frame is shown within half a frame of where a constant `rate` puts it."""
    offsets = np.array([float(time * rate) for time in times]) - np.arange(len(times))
    return bool(len(times) == 0 or np.abs(offsets - offsets[0]).max() < 0.5)


def _seek(path: Path, container: Any, stream: Any, stamp: int) -> None:
    try:
        container.seek(stamp, stream=stream, backward=True)
    except (av.error.FFmpegError, OverflowError) as error:
        raise CorruptFileError(
            f"{path} cannot be read from {stamp * stream.time_base} s on ({error}); {_AGAIN}"
        ) from error


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream, ready to be decoded by one thread."""
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; expected a video file")
    try:
        # Titles and comments are not ours to judge: what is no UTF-8 in them is replaced.
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise CorruptFileError(f"{path} does not open as a video ({error}); {_AGAIN}") from error
    with container:
        if not container.streams.video:
            raise CorruptFileError(f"{path} holds no video stream; leave it out")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise CorruptFileError(
                f"{path} is encrypted, or its codec is unknown to this PyAV; convert it to H.264 or AV1"
            )
        # Units run side by side, so a decoder that starts its own threads would only fight with the others.
        stream.codec_context.thread_count = 1
        yield container, stream


def _decoded(path: Path, container: Any, stream: Any, *, whole: bool = False) -> Iterator[av.VideoFrame]:
    """Every frame in presentation order. With `whole`, holds the file to the number of frames that it declares."""
    packets = decoded = hidden = 0
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0
            hidden += bool(packet.is_discard)
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise CorruptFileError(f"{path} is damaged at frame {decoded}; {_AGAIN}")
                decoded += 1
                yield frame
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        raise CorruptFileError(
            f"{path} uses the codec {stream.codec_context.name!r}, which this PyAV cannot decode ({error}); "
            "convert it to H.264 or AV1"
        ) from error
    except av.error.FFmpegError as error:
        raise CorruptFileError(f"{path} stops decoding after {decoded} frames ({error}); {_AGAIN}") from error
    if whole and (packets < stream.frames or decoded < stream.frames - hidden):
        raise CorruptFileError(
            f"{path} declares {stream.frames} frames, only {decoded} can be decoded: it is cut off or damaged; {_AGAIN}"
        )


def _stamp(path: Path, frame: av.VideoFrame) -> int:
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None:
        raise CorruptFileError(f"{path} has frames without a presentation time; convert it to mp4")
    return int(stamp)


def _nominal_rate(stream: Any) -> Fraction:
    """The rate that the file means: its average, or the standard rate that the average is close to.

    Containers with millisecond stamps and files of variable rate report averages such as 29.9873.
    """
    average = Fraction(stream.average_rate or stream.base_rate or stream.guessed_rate or 0)
    if average <= 0:
        raise CorruptFileError(f"{stream.container.name} does not tell its frame rate; convert it to mp4")
    standards = (Fraction(max(1, round(average))), *_NTSC)
    nearest = min(standards, key=lambda standard: abs(standard - average))
    return nearest if abs(nearest - average) < nearest * Fraction(2, 1000) else average


def _duration_s(container: Any, stream: Any) -> float:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return float(container.duration / av.time_base) if container.duration is not None else 0.0
