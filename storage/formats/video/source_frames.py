"""Frames of source videos by their time stamps, for shards that hold references: random access with a cache.

A video decodes forward from its key frames only. What is decoded on the way is kept, as JPEG at the size that was asked
for, in memory and, where PYRAMID_FRAME_CACHE names a folder, there too. The folder is private to the machine, may be
deleted at any time, and makes random access cost what a shard with pixels costs once every frame has been decoded.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from storage.atomic_files import write_whole
from storage.errors import CorruptFileError
from storage.formats.video.pixels import to_rgb
from storage.formats.video.reader import opened_video
from storage.frames import Image, frame_codec
from storage.ids import content_id
from storage.pictures.resizing import Resize
from storage.pictures.source_frame import SourceFrame, find_source

CACHE_VARIABLE = "PYRAMID_FRAME_CACHE"
CHUNK_FRAMES = 64
_MEMORY_BYTES = 256 << 20
_HEAD_BYTES = 16


def read_source_frame(payload: bytes | memoryview, out: Image) -> None:
    """Decode the frame that `payload` names into `out` (H, W, 3) uint8. Raises MissingFileError where the video is not
    there, CorruptFileError where it has no frame at that time (any more)."""
    named = SourceFrame.from_payload(payload)
    path = find_source(named.root, named.file)
    table = _table(path, path.stat().st_mtime_ns)
    rank = table.rank(named.seconds)
    if rank is None:
        raise CorruptFileError(f"{path} has no frame at {float(named.seconds):.3f} s; it is not the file it was")
    first, frames = _CACHE.chunk(table, rank, (out.shape[0], out.shape[1]))
    frame_codec("jpeg").decode_into(frames[rank - first], out)


@dataclass(frozen=True, eq=False)
class _Table:
    """Time stamps of all frames of a video, in order, and where decoding may begin. `chunks` are the ranks at which
    pieces of at most CHUNK_FRAMES begin; each key frame begins one."""

    path: Path
    changed_ns: int
    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    chunks: NDArray[np.int64]
    zero: int
    time_base: Fraction

    def rank(self, seconds: Fraction) -> int | None:
        stamp = seconds / self.time_base + self.zero
        found = int(np.searchsorted(self.stamps, int(stamp)))
        there = found < len(self.stamps) and int(self.stamps[found]) == stamp
        return found if there else None


@lru_cache(maxsize=256)
def _table(path: Path, changed_ns: int) -> _Table:
    with opened_video(path) as (container, stream):
        packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.pts is not None]
        zero = int(stream.start_time or 0)
        time_base = Fraction(stream.time_base)
    stamps = np.array(sorted(stamp for stamp, _ in packets if stamp >= zero), np.int64)
    keys = np.array(sorted(stamp for stamp, key in packets if key and stamp >= zero), np.int64)
    begins = np.unique(np.r_[0, np.searchsorted(stamps, keys)])
    ends = np.r_[begins[1:], len(stamps)]
    chunks = np.concatenate([np.arange(a, b, CHUNK_FRAMES) for a, b in zip(begins, ends, strict=True)])
    return _Table(path, changed_ns, stamps, keys, chunks, zero, time_base)


class _Cache:
    """Chunks of encoded frames: the last ones in memory, all of them on the disk where a folder is named."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int, tuple[int, int]], list[bytes]] = OrderedDict()
        self._bytes = 0

    def chunk(self, table: _Table, rank: int, size_px: tuple[int, int]) -> tuple[int, list[bytes]]:
        """(rank of its first frame, frames) of the chunk that holds frame `rank`."""
        first = int(table.chunks[np.searchsorted(table.chunks, rank, side="right") - 1])
        key = (str(table.path), table.changed_ns, first, size_px)
        if key in self._kept:
            self._kept.move_to_end(key)
            return first, self._kept[key]
        stored = _stored_at(key)
        frames = _unpacked(stored) if stored is not None and stored.is_file() else None
        if frames is None:
            for begin, decoded in _decode_up_to(table, first, size_px):
                frames = decoded
                here = (key[0], key[1], begin, size_px)
                self._keep(here, decoded)
                if (target := _stored_at(here)) is not None and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(target, _packed(decoded))
        else:
            self._keep(key, frames)
        if frames is None or len(frames) <= rank - first:
            raise CorruptFileError(f"{table.path} cannot be decoded at frame {rank}; it is not the file it was")
        return first, frames

    def _keep(self, key: tuple[str, int, int, tuple[int, int]], frames: list[bytes]) -> None:
        if key not in self._kept:
            self._kept[key] = frames
            self._bytes += sum(map(len, frames))
        while self._bytes > _MEMORY_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= sum(map(len, dropped))

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0


_CACHE = _Cache()


def forget() -> None:
    """Let go of every decoded frame in memory; the folder of frames stays."""
    _CACHE.clear()


def _decode_up_to(table: _Table, last: int, size_px: tuple[int, int]) -> Iterator[tuple[int, list[bytes]]]:
    """Every chunk from the key frame on up to the one that begins at rank `last`, each as it is complete."""
    key = int(table.keys[max(0, int(np.searchsorted(table.keys, table.stamps[last], side="right")) - 1)])
    encode, resize = frame_codec("jpeg").encode, Resize(size_px=size_px)
    place = int(np.searchsorted(table.chunks, np.searchsorted(table.stamps, key), side="right")) - 1
    stop_place = int(np.searchsorted(table.chunks, last))
    ends = np.r_[table.chunks[1:], len(table.stamps)]
    frames: list[bytes] = []
    for frame in _frames_from(table, key):
        rank = int(np.searchsorted(table.stamps, frame.pts))
        if rank != table.chunks[place] + len(frames):
            continue
        frames.append(encode(to_rgb(frame, resize)))
        if rank + 1 == ends[place]:
            yield int(table.chunks[place]), frames
            if place == stop_place:
                return
            place, frames = place + 1, []


def _frames_from(table: _Table, stamp: int) -> Iterator[av.VideoFrame]:
    with opened_video(table.path) as (container, stream):
        if stamp > table.zero:
            container.seek(stamp, stream=stream, backward=True)
        try:
            for packet in container.demux(stream):
                yield from (frame for frame in packet.decode() if frame.pts is not None and frame.pts >= stamp)
        except av.error.FFmpegError as error:
            raise CorruptFileError(f"{table.path} stops decoding ({error}); it is not the file it was") from error


def _stored_at(key: tuple[str, int, int, tuple[int, int]]) -> Path | None:
    folder = os.environ.get(CACHE_VARIABLE)
    if not folder:
        return None
    name = content_id("frame cache", *key[:2], key[3])
    return Path(folder) / name / f"{key[2]:09d}.frames"


def _packed(frames: list[bytes]) -> bytes:
    sizes = np.array([len(frame) for frame in frames], "<u8")
    return len(frames).to_bytes(_HEAD_BYTES, "little") + sizes.tobytes() + b"".join(frames)


def _unpacked(path: Path) -> list[bytes] | None:
    """The frames of a cached chunk; None where the file is damaged, for then they are decoded again."""
    content = path.read_bytes()
    count = int.from_bytes(content[:_HEAD_BYTES], "little")
    if len(content) < _HEAD_BYTES + 8 * count:
        return None
    ends = np.cumsum(np.frombuffer(content, "<u8", count, _HEAD_BYTES)).astype(int) + _HEAD_BYTES + 8 * count
    if not count or int(ends[-1]) != len(content):
        return None
    starts = [_HEAD_BYTES + 8 * count, *ends[:-1].tolist()]
    return [content[a:b] for a, b in zip(starts, ends.tolist(), strict=True)]
