"""A file for HDF5 to write into that never fails: HDF5 does not survive a full disk (it crashes while it closes)."""

import io
from pathlib import Path
from typing import Any


class ForgivingFile(io.FileIO):
    """A new file at `path`. The first OSError of a write is kept for `check`, and what comes after it is written to
    nothing, so that HDF5 can close in peace."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, content: Any, /) -> int:
        """Write all of `content`, or nothing after an error; returns its length in bytes."""
        rest = memoryview(content).cast("B")
        length = len(rest)
        try:
            while self._error is None and len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return length

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length in bytes, unless a write has failed."""
        try:
            return super().truncate(size) if self._error is None else int(size or 0)
        except OSError as error:
            self._error = error
            return int(size or 0)

    def check(self) -> None:
        """Raise the first OSError of any write."""
        if self._error is not None:
            raise self._error
