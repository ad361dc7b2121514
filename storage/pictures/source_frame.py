"""A frame that is named and not stored: which video, and which moment of it. The payload of the codec `reference`.

Where a licence forbids copying frames, a shard holds these in place of pixels, and whoever has the video can decode it.
"""

import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from storage.errors import CorruptFileError, MissingFileError

SOURCES_VARIABLE = "PYRAMID_SOURCES"
"""Folders that hold source videos that were moved, separated as in PATH."""


@dataclass(frozen=True)
class Group:
    """A place in a group of pictures, which decode forward from a key frame: the key frame's time stamp in seconds, the
    frame's number in the group in the order shown, 0 at the key frame, and how many frames the group has."""

    key: Fraction
    place: int
    frames: int


@dataclass(frozen=True)
class SourceFrame:
    """The frame of `file` (below `root`) whose time stamp is `seconds` after that of the file's first frame.

    `group` is where decoding begins for it, so that a reader need not look through the file; None where nobody knows.
    """

    root: str
    file: str
    seconds: Fraction
    group: Group | None = None

    def payload(self) -> bytes:
        """This frame as the payload of a shard."""
        parts: list[str | int] = [self.root, self.file, str(self.seconds)]
        if self.group is not None:
            parts += [str(self.group.key), self.group.place, self.group.frames]
        return json.dumps(parts, separators=(",", ":")).encode()

    @classmethod
    def from_payload(cls, payload: bytes | memoryview) -> "SourceFrame":
        """The inverse of `payload`; raises CorruptFileError."""
        try:
            root, file, seconds, *group = json.loads(bytes(payload))
            place = Group(Fraction(group[0]), int(group[1]), int(group[2])) if group else None
            return cls(str(root), str(file), Fraction(seconds), place)
        except (ValueError, TypeError, ZeroDivisionError, IndexError) as error:
            raise CorruptFileError(f"a reference to a frame does not read: {error}") from error


def find_source(root: str, file: str) -> Path:
    """Where a source video lies: below its root, or below a folder of PYRAMID_SOURCES. Raises MissingFileError."""
    moved = [Path(folder) for folder in os.environ.get(SOURCES_VARIABLE, "").split(os.pathsep) if folder]
    for path in (Path(root) / file, *(folder / file for folder in moved)):
        if path.is_file():
            return path
    raise MissingFileError(
        f"{Path(root) / file} is not there, and the data set holds references to its frames; put it back, or name the "
        f"folder that it was moved to in {SOURCES_VARIABLE}"
    )
