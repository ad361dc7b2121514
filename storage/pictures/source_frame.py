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
class SourceFrame:
    """The frame of `file` (below `root`) whose time stamp is `seconds` after that of the file's first frame."""

    root: str
    file: str
    seconds: Fraction

    def payload(self) -> bytes:
        """This frame as the payload of a shard."""
        return json.dumps([self.root, self.file, str(self.seconds)], separators=(",", ":")).encode()

    @classmethod
    def from_payload(cls, payload: bytes | memoryview) -> "SourceFrame":
        """The inverse of `payload`; raises CorruptFileError."""
        try:
            root, file, seconds = json.loads(bytes(payload))
            return cls(str(root), str(file), Fraction(seconds))
        except (ValueError, TypeError, ZeroDivisionError) as error:
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
