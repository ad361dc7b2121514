"""Images that lie in a parquet column, as LeRobot's image data sets have them: {"bytes": PNG or JPEG, "path": text}."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.errors import CorruptFileError
from storage.formats.depth import Depth, depth_from_bytes
from storage.formats.untrusted.pictures import decode_colour
from storage.formats.video.clip import FrameCoding
from storage.frames import Frames


def encode_pictures(path: Path, table: Any, column: str, coding: FrameCoding) -> Frames:
    """The images of `column`, one a row, decoded and encoded one at a time; raises CorruptFileError."""
    return coding.encode(decode_colour(where, content) for where, content in _contents(path, table, column))


def depth_pictures(path: Path, table: Any, column: str) -> Iterator[Depth]:
    """The depth images of `column`, one a row, (H, W) uint16; raises CorruptFileError."""
    return (depth_from_bytes(where, content) for where, content in _contents(path, table, column))


def _contents(path: Path, table: Any, column: str) -> Iterator[tuple[str, bytes]]:
    for row, cell in enumerate(table.column(column)):
        value = cell.as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise CorruptFileError(
                f"{path}, row {row}: {column} does not hold the bytes of an image; images in files of their own are "
                "not read"
            )
        yield f"{path}, row {row}: the image of {column}", content
