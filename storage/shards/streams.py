"""Files that a shard writer appends to: content goes straight to the disk, and only a checksum is kept of it.

Every stream can be wound back to a mark, so that an episode that turns out bad half way leaves no trace.
"""

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from storage.errors import PyramidError, WorldError
from storage.shards.record import FileRecord
from storage.shards.zarr_documents import ArrayMetadata

_BUFFER_BYTES = 1 << 18


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a WorldError that names `path`."""
    try:
        yield
    except PyramidError:
        raise
    except OSError as error:
        raise WorldError(
            f"cannot write {path}: {error.strerror or error}; make room or choose a folder that can be written"
        ) from error


@dataclass(frozen=True)
class Mark:
    """A point of a stream to wind back to."""

    bytes: int
    crc32c: int
    rows: int


class AppendFile:
    """A new file that only grows, with the crc32c of everything in it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.bytes = 0
        self.crc32c = 0
        self._file = path.open("xb", buffering=_BUFFER_BYTES)

    def append(self, content: bytes | memoryview) -> None:
        content = bytes(content)  # the checksum takes nothing else; bytes are not copied
        self._file.write(content)
        self.crc32c = google_crc32c.extend(self.crc32c, content)
        self.bytes += len(content)

    def rewind(self, mark: Mark) -> None:
        """Forget everything behind `mark`."""
        self._file.flush()
        self._file.truncate(mark.bytes)
        self._file.seek(mark.bytes)
        self.bytes, self.crc32c = mark.bytes, mark.crc32c

    def flush(self) -> None:
        """Make the content visible to who maps the file."""
        self._file.flush()

    def close(self) -> None:
        """Bring the content to the disk itself."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Close without caring what becomes of the content."""
        with suppress(OSError):  # what the buffer held may not fit; the descriptor is closed all the same
            self._file.close()

    def record(self, root: Path) -> FileRecord:
        """What the manifest says about this file."""
        return FileRecord(path=self.path.relative_to(root).as_posix(), bytes=self.bytes, crc32c=self.crc32c)


class ArrayStream:
    """Rows of one low-dimensional array; a row has shape `row_shape`, () for one number a step."""

    def __init__(self, folder: Path, *, row_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._little = dtype.newbyteorder("<")
        self._row_shape, self._dtype, self.rows = row_shape, dtype, 0
        self._file = AppendFile(folder / self.metadata.chunk_file)

    @property
    def metadata(self) -> ArrayMetadata:
        return ArrayMetadata(shape=(self.rows, *self._row_shape), dtype=self._dtype)

    def append(self, rows: NDArray[Any]) -> None:
        """Add `rows` of shape (n, *row_shape)."""
        content = np.ascontiguousarray(rows, dtype=self._little)
        self._file.append(content.tobytes())
        self.rows += len(rows)

    def mark(self) -> Mark:
        return Mark(self._file.bytes, self._file.crc32c, self.rows)

    def rewind(self, mark: Mark) -> None:
        self._file.rewind(mark)
        self.rows = mark.rows

    def stored(self, start: int = 0) -> NDArray[Any]:
        """The rows from `start` on, mapped from the file, read-only."""
        self._file.flush()
        row_bytes = self._dtype.itemsize * int(np.prod(self._row_shape))
        shape = (self.rows - start, *self._row_shape)
        return np.memmap(self._file.path, dtype=self._dtype, mode="r", offset=start * row_bytes, shape=shape)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self._file.discard()

    def record(self, root: Path) -> FileRecord:
        return self._file.record(root)


class VideoStream:
    """Encoded frames of one camera, and the index that `sharding_indexed` puts behind them."""

    def __init__(self, folder: Path, *, frame_shape: tuple[int, ...], dtype: np.dtype[Any], frame_codec: str) -> None:
        self._frame_shape, self._dtype, self._codec = frame_shape, dtype, frame_codec
        self._sizes = array("Q")
        self._file = AppendFile(folder / self.metadata.chunk_file)

    @property
    def rows(self) -> int:
        return len(self._sizes)

    @property
    def metadata(self) -> ArrayMetadata:
        return ArrayMetadata(shape=(self.rows, *self._frame_shape), dtype=self._dtype, frame_codec=self._codec)

    def append(self, payload: bytes | memoryview) -> None:
        """Add one encoded frame."""
        self._file.append(payload)
        self._sizes.append(len(payload))

    def mark(self) -> Mark:
        return Mark(self._file.bytes, self._file.crc32c, self.rows)

    def rewind(self, mark: Mark) -> None:
        self._file.rewind(mark)
        del self._sizes[mark.rows :]

    def close(self) -> None:
        self._file.append(shard_index(self._sizes))
        self._file.close()

    def discard(self) -> None:
        self._file.discard()

    def record(self, root: Path) -> FileRecord:
        return self._file.record(root)


def shard_index(sizes: Sequence[int]) -> bytes:
    """The index of a `sharding_indexed` chunk whose payloads of `sizes` bytes lie one behind the other:
    (offset, size) as little-endian uint64 for each, then the crc32c of that."""
    pairs = np.empty((len(sizes), 2), dtype="<u8")
    pairs[:, 1] = sizes
    np.cumsum(pairs[:, 1], out=pairs[:, 0])
    pairs[:, 0] -= pairs[:, 1]
    content = pairs.tobytes()
    checksum: int = google_crc32c.value(content)
    return content + checksum.to_bytes(4, "little")
