"""A video as the frames of an episode: every frame encoded once, on a constant rate, with its place in the source."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError
from storage.formats.untrusted.limits import LIMITS
from storage.formats.video.pixels import jpeg_planes, to_rgb
from storage.formats.video.reader import decoded, presentation_times, probe
from storage.frames import Frames, frame_codec
from storage.pictures.resizing import RGB, Resize


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A piece of a video. `timestamp` (T,) float64 seconds after the first frame of the clip; `source_frame` (T,) int64
    number of each frame in its file; `resampled` says that frames were left out or repeated to reach `rate`."""

    frames: Frames
    timestamp: NDArray[np.float64]
    source_frame: NDArray[np.int64]
    rate: Fraction
    resampled: bool

    def cut(self, length: int) -> "Clip":
        """The first `length` frames."""
        if length == len(self.frames):
            return self
        frames = replace(self.frames, payloads=self.frames.payloads[:length])
        return replace(self, frames=frames, timestamp=self.timestamp[:length], source_frame=self.source_frame[:length])


@dataclass(frozen=True, kw_only=True)
class FrameCoding:
    """How decoded frames are stored: at which size and in which codec of `storage.frames`."""

    resize: Resize = field(default_factory=Resize)
    codec: str = "jpeg"

    def payload(self, frame: av.VideoFrame) -> tuple[bytes, tuple[int, int]]:
        """(bytes, (height, width)) of a decoded frame."""
        codec, size = frame_codec(self.codec), (frame.height, frame.width)
        if codec.jpeg_subsampling == "420" and self.resize.size_of(*size) == size:
            planes = jpeg_planes(frame)
            if planes is not None:
                return codec.encode_planes(planes), size
        image = to_rgb(frame, self.resize)
        return codec.encode(image), (image.shape[0], image.shape[1])

    def encode(self, images: Iterable[RGB]) -> Frames:
        """`images`, each (H, W, 3) uint8, encoded one at a time."""
        return Frames.encode((self.resize(image) for image in images), self.codec)


def encode_video(path: Path, coding: FrameCoding) -> Frames:
    """Every frame of `path`, in order and whatever their times: for sources that count frames."""
    return encode_frames((frame for _, frame in decoded(path)), coding)


def encode_frames(frames: Iterable[av.VideoFrame], coding: FrameCoding) -> Frames:
    """Decoded frames, converted and encoded one at a time."""
    return Frames.joined((coding.payload(frame) for frame in frames), coding.codec)


def read_clip(
    path: Path,
    coding: FrameCoding,
    *,
    rate: Fraction | None = None,
    start_s: float = 0.0,
    stop_s: float = float("inf"),
) -> Clip:
    """The frames of `path` from `start_s` up to `stop_s` at a constant `rate` (the file's own by default).

    A file of constant rate keeps its frames and its exact times. One of variable rate, or read at another rate, gives
    for each point of the grid the frame whose time is nearest.
    """
    info = probe(path)
    rate = rate or info.rate
    payloads: list[bytes] = []
    chosen: list[tuple[int, Fraction]] = []
    size: tuple[int, int] | None = None
    tail = 1 / info.rate - 1 / (2 * rate)
    for number, seconds, frame in _nearest(path, decoded(path, start_s=start_s, stop_s=stop_s), rate, tail):
        if chosen and chosen[-1][0] == number:
            payloads.append(payloads[-1])
        else:
            payload, here = coding.payload(frame)
            size = size or here
            if here != size:
                raise SchemaError(f"{path} changes its size from {size} to {here}; give size_px")
            payloads.append(payload)
        chosen.append((number, seconds))
    if size is None:
        raise SchemaError(f"{path} has no frame between {start_s} and {stop_s} s; it lasts {info.duration_s:.2f} s")
    numbers = np.array([number for number, _ in chosen], np.int64)
    resampled = bool((numbers != np.arange(len(numbers))).any())
    zero = chosen[0][1]
    times = [Fraction(step) / rate for step in range(len(chosen))] if resampled else [time - zero for _, time in chosen]
    return Clip(
        frames=Frames(payloads=payloads, height_px=size[0], width_px=size[1], codec=coding.codec),
        timestamp=np.array([float(time) for time in times]),
        source_frame=numbers + number_in_file(path, zero),
        rate=rate,
        resampled=resampled,
    )


def _nearest(
    path: Path, frames: Iterable[tuple[Fraction, av.VideoFrame]], rate: Fraction, tail: Fraction
) -> Iterator[tuple[int, Fraction, av.VideoFrame]]:
    """For each point of the grid zero, zero + 1/rate, ... the frame nearest in time: (its number, its time, the frame).

    The grid ends `tail` seconds after the last frame: its duration less half a step, so that a file of constant rate
    gives each of its frames exactly once. Raises SchemaError for a gap that nobody records.
    """
    earlier: tuple[int, Fraction, av.VideoFrame] | None = None
    zero, step = Fraction(0), 0
    for number, (seconds, frame) in enumerate(frames):
        if earlier is None:
            zero = seconds
        else:
            if seconds - earlier[1] > LIMITS.gap_s:
                raise SchemaError(
                    f"{path} shows nothing new between {float(earlier[1]):.1f} s and {float(seconds):.1f} s (frames "
                    f"{number - 1} and {number}); at most {LIMITS.gap_s:g} s are bridged: cut the file there"
                )
            middle = (earlier[1] + seconds) / 2
            while zero + step / rate <= middle:
                yield earlier
                step += 1
        earlier = (number, seconds, frame)
    while earlier is not None and (step == 0 or zero + step / rate < earlier[1] + tail):
        yield earlier
        step += 1


def number_in_file(path: Path, seconds: Fraction) -> int:
    """The number in its file of the frame shown at `seconds`."""
    return bisect_left(_times(path, path.stat().st_mtime_ns), seconds) if seconds > 0 else 0


# The segments of a long video are read one after another; its stamps need to be collected once.
@lru_cache(maxsize=2)
def _times(path: Path, changed_ns: int) -> list[Fraction]:
    return presentation_times(path)
