"""Frames of source videos by their time stamps, for shards that hold references: random access with a cache.

A video decodes forward from its key frames only. What is decoded on the way is kept as JPEG at the size that was asked
for: the last 256 MB in memory, and all of it in the folder of `frame_folder`. A few decoders stay open where they are,
so that the next frames of a group of pictures go on from there.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import RLock

import av

from storage.errors import CorruptFileError
from storage.formats.video.frame_folder import CHUNK_FRAMES, GroupKey, frame_folder
from storage.formats.video.key_frames import key_frames
from storage.formats.video.pixels import to_rgb
from storage.formats.video.reader import opened_video
from storage.frames import Image, frame_codec
from storage.pictures.resizing import RGB, Resize
from storage.pictures.source_frame import SourceFrame, find_source

_MEMORY_BYTES = 256 << 20
_OPEN_DECODERS = 4
_Chunk = dict[int, tuple[str, bytes]]


def read_source_frame(payload: bytes | memoryview, out: Image) -> None:
    """Decode the frame that `payload` names into `out` (H, W, 3) uint8. Raises MissingFileError where the video is not
    there, CorruptFileError where it has no frame at that time (any more)."""
    named = SourceFrame.from_payload(payload)
    path = find_source(named.root, named.file)
    group = named.group or key_frames(path).group_of(named.seconds)
    if group is None:
        raise _no_frame(path, named.seconds)
    key = GroupKey(str(path), path.stat().st_mtime_ns, str(group.key), (out.shape[0], out.shape[1]))
    content = _CACHE.frame(key, group.place, group.frames, named.seconds)
    frame_codec("jpeg").decode_into(content, out)


class FrameKeeper:
    """Keeps frames of one video that somebody decodes anyway, so that they need not be decoded again. Frames come in
    the order shown; `close` keeps the last ones."""

    def __init__(self, path: Path, size_px: tuple[int, int]) -> None:
        self._path, self._size_px = path, size_px
        self._changed_ns = path.stat().st_mtime_ns
        self._at: tuple[GroupKey, int] | None = None
        self._frames: _Chunk = {}
        self._encode = frame_codec("jpeg").encode

    def add(self, named: SourceFrame, image: RGB) -> None:
        """The frame `named` shows `image` (H, W, 3), of the size that is kept."""
        if named.group is None or frame_folder() is None:
            return
        key = GroupKey(str(self._path), self._changed_ns, str(named.group.key), self._size_px)
        at = (key, named.group.place // CHUNK_FRAMES)
        if at != self._at:
            self.close()
            self._at = at
        self._frames[named.group.place] = (str(named.seconds), self._encode(image))

    def close(self) -> None:
        """Write what is left."""
        folder = frame_folder()
        if self._at is not None and self._frames and folder is not None:
            folder.write(*self._at, self._frames)
        self._frames = {}


@dataclass
class _Decoder:
    """A group of pictures that is being decoded: `place` is that of the next frame."""

    frames: Iterator[av.VideoFrame]
    zero: int
    time_base: Fraction
    place: int = 0


@dataclass
class _Cache:
    """Chunks of encoded frames in memory, and open decoders."""

    lock: RLock = field(default_factory=RLock)
    _kept: OrderedDict[tuple[GroupKey, int], _Chunk] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _open: OrderedDict[GroupKey, _Decoder] = field(default_factory=OrderedDict)

    def frame(self, group: GroupKey, place: int, length: int, seconds: Fraction) -> bytes:
        """The frame at `place` of a group of `length` frames, shown at `seconds`."""
        text, folder = str(seconds), frame_folder()
        with self.lock:
            if (kept := self._in_memory(group, place, text)) is not None:
                return kept
        stored = folder.read(group, place, text) if folder is not None else None
        if stored is not None:
            return stored
        with self.lock:
            if (kept := self._in_memory(group, place, text)) is not None:
                return kept
            return self._decoded(group, place, length, text)

    def _in_memory(self, group: GroupKey, place: int, seconds: str) -> bytes | None:
        chunk = self._kept.get((group, place // CHUNK_FRAMES))
        if chunk is None or place not in chunk or chunk[place][0] != seconds:
            return None
        self._kept.move_to_end((group, place // CHUNK_FRAMES))
        return chunk[place][1]

    def _decoded(self, group: GroupKey, place: int, length: int, seconds: str) -> bytes:
        """Decode up to the end of the chunk that holds `place`, and keep what comes on the way."""
        wanted = place // CHUNK_FRAMES
        decoder = self._decoder(group, wanted * CHUNK_FRAMES)
        encode, resize = frame_codec("jpeg").encode, Resize(size_px=group.size_px)
        while decoder.place < length and decoder.place // CHUNK_FRAMES <= wanted:
            number = decoder.place // CHUNK_FRAMES
            skipped = number < wanted and self._is_kept(group, number)
            frames: _Chunk = {}
            for at in range(decoder.place, min((number + 1) * CHUNK_FRAMES, length)):
                frame = next(decoder.frames, None)
                if frame is None:
                    decoder.place = length
                    break
                decoder.place = at + 1
                if not skipped:
                    shown = str((frame.pts - decoder.zero) * decoder.time_base)
                    frames[at] = (shown, encode(to_rgb(frame, resize)))
            if not skipped:
                self._keep(group, number, frames)
        if decoder.place >= length:
            self._open.pop(group, None)
        if (content := self._in_memory(group, place, seconds)) is None:
            raise _no_frame(Path(group.path), Fraction(seconds))
        return content

    def _decoder(self, group: GroupKey, first: int) -> _Decoder:
        """A decoder of the group that has not gone beyond place `first`."""
        decoder = self._open.get(group)
        if decoder is None or decoder.place > first:
            decoder = self._open[group] = _decoder_of(group)
        self._open.move_to_end(group)
        while len(self._open) > _OPEN_DECODERS:
            self._open.popitem(last=False)
        return decoder

    def _is_kept(self, group: GroupKey, chunk: int) -> bool:
        folder = frame_folder()
        return (group, chunk) in self._kept or (folder is not None and folder.holds(group, chunk))

    def _keep(self, group: GroupKey, chunk: int, frames: _Chunk) -> None:
        folder = frame_folder()
        if folder is not None and frames:
            folder.write(group, chunk, frames)
        old = self._kept.pop((group, chunk), {})
        self._kept[group, chunk] = frames
        self._bytes += _size(frames) - _size(old)
        while self._bytes > _MEMORY_BYTES and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def forget() -> None:
    """Let go of every decoded frame in memory and every open decoder; the folder of frames stays."""
    global _CACHE
    _CACHE = _Cache()


_CACHE = _Cache()
# A forked process would share the place in the file with its parent, and perhaps a lock that somebody holds.
os.register_at_fork(after_in_child=forget)


def _size(frames: _Chunk) -> int:
    return sum(len(content) for _, content in frames.values())


def _decoder_of(group: GroupKey) -> _Decoder:
    path = Path(group.path)
    with opened_video(path) as (_, stream):
        zero, time_base = int(stream.start_time or 0), Fraction(stream.time_base)
    stamp = int(Fraction(group.key) / time_base) + zero
    return _Decoder(_frames_from(path, stamp, seek=stamp > zero), zero, time_base)


def _frames_from(path: Path, stamp: int, *, seek: bool) -> Iterator[av.VideoFrame]:
    """The frames of a video shown from `stamp` on, where a key frame is."""
    with opened_video(path) as (container, stream):
        try:
            if seek:
                container.seek(stamp, stream=stream, backward=True)
            for packet in container.demux(stream):
                yield from (frame for frame in packet.decode() if frame.pts is not None and frame.pts >= stamp)
        except av.error.FFmpegError as error:
            raise CorruptFileError(f"{path} stops decoding ({error}); it is not the file it was") from error


def _no_frame(path: Path, seconds: Fraction) -> CorruptFileError:
    return CorruptFileError(f"{path} has no frame at {float(seconds):.3f} s; it is not the file it was")
