"""The video of one camera, many episodes in one mp4: each is encoded alone and appended by stream copy, so that it
begins at a keyframe and no frame is encoded twice."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from storage.formats.video.writer import VideoCoding, rate_fraction, write_frames
from storage.frames import Frames

_CHUNKS = 1000


class JoinedVideo:
    """The files of camera `key` below `folder`, each of at most `limit_bytes` unless one episode is larger."""

    def __init__(self, folder: Path, key: str, coding: VideoCoding, limit_bytes: float) -> None:
        self._folder, self._key, self._coding, self._limit = folder, key, coding, limit_bytes
        self._parts: list[Path] = []
        self._steps: list[int] = []
        self._bytes = 0
        self._file = 0
        self._rate = Fraction(1)

    def add(self, frames: Frames, rate_hz: float) -> tuple[int, float, float]:
        """Encode one more episode; returns (number of its file, second at which it begins, second at which it ends)."""
        self._rate = rate_fraction(rate_hz)
        part = self._folder / "parts" / self._key / f"{len(self._parts)}-{self._file}.mp4"
        part.parent.mkdir(parents=True, exist_ok=True)
        write_frames(frames, part, rate_hz=rate_hz, coding=self._coding)
        size = part.stat().st_size
        if self._parts and self._bytes + size > self._limit:
            self.close()
            self._file += 1
        first = sum(self._steps)
        self._parts.append(part)
        self._steps.append(len(frames))
        self._bytes += size
        return self._file, float(first / self._rate), float((first + len(frames)) / self._rate)

    def close(self) -> None:
        """Join what was encoded since the last file into one file."""
        chunk, file = divmod(self._file, _CHUNKS)
        target = self._folder / "videos" / self._key / f"chunk-{chunk:03d}" / f"file-{file:03d}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        _join(self._parts, self._steps, target, self._rate)
        for part in self._parts:
            part.unlink()
        self._parts, self._steps, self._bytes = [], [], 0
        for folder in (self._folder / "parts" / self._key, self._folder / "parts"):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _join(parts: Sequence[Path], steps: Sequence[int], target: Path, rate: Fraction) -> None:
    """Copy the packets of `parts`, each of `steps` frames at `rate`, one part behind the other."""
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = None
        first = 0
        for part, count in zip(parts, steps, strict=True):
            with av.open(str(part)) as source:
                if stream is None:
                    stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
                    stream.time_base = 1 / rate
                offset = int(first / rate / source.streams.video[0].time_base)
                for packet in source.demux(source.streams.video[0]):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    container.mux(packet)
            first += count
