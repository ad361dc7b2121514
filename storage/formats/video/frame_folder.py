"""A private folder of decoded frames, so that a video whose frames may not be copied is decoded once on a machine.

PYRAMID_FRAME_CACHE names the folder ("none": no folder), PYRAMID_FRAME_CACHE_GB how large it may become. It holds
pixels, belongs to the machine, is no part of any data set and may be deleted at any time. Full, it takes nothing new
until what was used longest ago, and not within the last day, has made room: one too small still serves its share.
"""

import logging
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from storage.errors import ConfigError
from storage.ids import content_id

log = logging.getLogger(__name__)

FOLDER_VARIABLE, SIZE_VARIABLE = "PYRAMID_FRAME_CACHE", "PYRAMID_FRAME_CACHE_GB"
DEFAULT_GB = 16.0
CHUNK_FRAMES = 64
_HEAD = np.dtype([("begin", "<u4"), ("bytes", "<u4"), ("check", "<u4")])
_DAY_S = 24 * 3600.0
_LOOK_AGAIN_BYTES = 256 << 20


class GroupKey(NamedTuple):
    """A group of pictures at one size: of which video (and when it changed last), from which key frame on."""

    path: str
    changed_ns: int
    key: str
    size_px: tuple[int, int]


class FrameFolder:
    """Frames by group of pictures and place in it, in files of CHUNK_FRAMES places each. Frames are JPEG;
    `seconds`, the time stamp, is part of what is checked, so that damage reads as absence."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root, self._limit = root, limit_bytes
        self._held: int | None = None
        self._fresh = 0

    def read(self, group: GroupKey, place: int, seconds: str) -> bytes | None:
        """One frame, None where it is not there or damaged."""
        chunk, slot = divmod(place, CHUNK_FRAMES)
        try:
            with _file(self._root, group, chunk).open("rb") as file:
                head = np.frombuffer(file.read(CHUNK_FRAMES * _HEAD.itemsize), _HEAD)
                if len(head) < CHUNK_FRAMES or not head["bytes"][slot]:
                    return None
                file.seek(int(head["begin"][slot]))
                content = file.read(int(head["bytes"][slot]))
        except (OSError, ValueError):
            return None
        return content if _check(content, seconds) == int(head["check"][slot]) else None

    def holds(self, group: GroupKey, chunk: int) -> bool:
        """Whether anything of a chunk is there."""
        return _file(self._root, group, chunk).is_file()

    def write(self, group: GroupKey, chunk: int, frames: Mapping[int, tuple[str, bytes]]) -> None:
        """Put {place: (seconds, JPEG)} of a chunk there, beside what it holds already. What cannot be written is left
        out: the folder only saves time."""
        target = _file(self._root, group, chunk)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            content = _packed(_joined(target, {place % CHUNK_FRAMES: each for place, each in frames.items()}))
            if self._room(len(content)):
                self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
                target.parent.mkdir(exist_ok=True)
                temporary.write_bytes(content)
                temporary.replace(target)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            _warn(f"decoded frames cannot be kept in {self._root} ({error}); {FOLDER_VARIABLE} names another folder")

    def _room(self, size: int) -> bool:
        """Whether `size` more bytes may be written. The folder is looked through at first, and again now and then, for
        other processes write into it too."""
        if self._held is None or self._fresh > _LOOK_AGAIN_BYTES:
            self._held, self._fresh = self._look(), 0
        if self._held + size > self._limit:
            return False
        self._held, self._fresh = self._held + size, self._fresh + size
        return True

    def _look(self) -> int:
        """Bytes in the folder; beyond nine tenths of the limit videos not used for a day go, oldest first."""
        used = {each: each.stat().st_mtime for each in self._root.glob("*") if each.is_dir()}
        sizes = {each: sum(file.stat().st_size for file in each.glob("*.frames")) for each in used}
        held = sum(sizes.values())
        for video in sorted(used, key=used.__getitem__):
            if held <= 0.9 * self._limit or used[video] > time.time() - _DAY_S:
                break
            shutil.rmtree(video, ignore_errors=True)
            held -= sizes[video]
        if held > 0.99 * self._limit:
            _warn(f"{self._root} is full of decoded frames ({held / 1e9:.1f} GB); {SIZE_VARIABLE} lets it grow")
        return held


def frame_folder() -> FrameFolder | None:
    """The folder that the environment names, by default one in the user's cache; None for "none"."""
    ask = os.environ.get
    return _folder(ask(FOLDER_VARIABLE, ""), ask(SIZE_VARIABLE, ""), ask("XDG_CACHE_HOME", ""))


@lru_cache(maxsize=8)
def _folder(named: str, size_gb: str, caches: str) -> FrameFolder | None:
    if named.lower() == "none":
        return None
    root = Path(named or Path(caches or "~/.cache") / "pyramid" / "frames").expanduser()
    try:
        limit = float(size_gb) if size_gb else DEFAULT_GB
    except ValueError:
        raise ConfigError(f"{SIZE_VARIABLE} is a number of gigabytes; got {size_gb!r}") from None
    return FrameFolder(root, int(limit * 1e9)) if limit > 0 else None


@lru_cache(maxsize=4096)
def _file(root: Path, group: GroupKey, chunk: int) -> Path:
    video = root / content_id("frames of", group.path, group.changed_ns, group.size_px)
    _touch(video)
    return video / f"{group.key.replace('/', '_')}-{chunk:06d}.frames"


@cache
def _touch(video: Path) -> None:
    """Note that a video is in use; once in a process."""
    with suppress(OSError):
        os.utime(video)


def _packed(frames: Iterable[tuple[int, bytes, int]]) -> bytes:
    """The content of a file: where each slot lies, how long it is and its check, and then the frames."""
    head, parts = np.zeros(CHUNK_FRAMES, _HEAD), []
    at = head.nbytes
    for slot, content, check in frames:
        head[slot] = (at, len(content), check)
        parts.append(content)
        at += len(content)
    return head.tobytes() + b"".join(parts)


def _joined(target: Path, fresh: Mapping[int, tuple[str, bytes]]) -> list[tuple[int, bytes, int]]:
    """(slot, content, check) of the fresh frames and of those that `target` holds beside them."""
    entries = [(slot, content, _check(content, seconds)) for slot, (seconds, content) in fresh.items()]
    if len(fresh) < CHUNK_FRAMES and target.is_file():
        old = target.read_bytes()
        head = np.frombuffer(old[: CHUNK_FRAMES * _HEAD.itemsize], _HEAD) if len(old) >= CHUNK_FRAMES * 12 else ()
        for slot, (begin, size, check) in enumerate(head):
            if size and slot not in fresh and begin + size <= len(old):
                entries.append((slot, old[begin : begin + size], int(check)))
    return entries


def _check(content: bytes, seconds: str) -> int:
    return zlib.crc32(content, zlib.crc32(seconds.encode()))


@cache
def _warn(message: str) -> None:
    log.warning(message)
