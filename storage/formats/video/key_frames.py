"""Which frames of a video are key frames, and so where decoding begins for any other. From packets; none is decoded."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from storage.formats.video.reader import opened_video
from storage.pictures.source_frame import Group


@dataclass(frozen=True, eq=False)
class KeyFrames:
    """`stamps` of all frames of a video in order, and the ranks of `keys` among them, beginning with 0."""

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    zero: int
    time_base: Fraction

    def group_of(self, seconds: Fraction) -> Group | None:
        """Where the frame shown at `seconds` stands; None where the video has no frame at that time."""
        stamp = seconds / self.time_base + self.zero
        rank = int(np.searchsorted(self.stamps, int(stamp)))
        if rank >= len(self.stamps) or int(self.stamps[rank]) != stamp:
            return None
        number = int(np.searchsorted(self.keys, rank, side="right")) - 1
        first = int(self.keys[number])
        behind = int(self.keys[number + 1]) if number + 1 < len(self.keys) else len(self.stamps)
        return Group((int(self.stamps[first]) - self.zero) * self.time_base, rank - first, behind - first)


def key_frames(path: Path) -> KeyFrames:
    """The key frames of `path`, as far as its packets can be read; remembered until the file changes."""
    return _key_frames(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _key_frames(path: Path, changed_ns: int) -> KeyFrames:
    stamps: list[int] = []
    keys: list[int] = []
    with opened_video(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.pts is not None:
                    stamps.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
        except av.error.FFmpegError:
            pass  # What lies before the damage can be read all the same.
        zero = int(stream.start_time or 0)
        time_base = Fraction(stream.time_base)
    shown = np.unique(np.array([stamp for stamp in stamps if stamp >= zero], np.int64))
    ranks = np.searchsorted(shown, np.array([key for key in keys if key >= zero], np.int64))
    return KeyFrames(shown, np.unique(np.r_[0, ranks]).astype(np.int64), zero, time_base)
