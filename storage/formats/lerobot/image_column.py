"""Images that lie in a parquet column, as LeRobot's image data sets have them: {"bytes": PNG or JPEG, "path": text}."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from storage.errors import CorruptFileError
from storage.formats.video.clip import FrameCoding
from storage.frames import Frames
from storage.resizing import RGB


def encode_pictures(path: Path, table: Any, column: str, coding: FrameCoding) -> Frames:
    """The images of `column`, one a row, decoded and encoded one at a time; raises CorruptFileError."""
    return coding.encode(_decoded(path, table, column))


def _decoded(path: Path, table: Any, column: str) -> Iterator[RGB]:
    for row, cell in enumerate(table.column(column)):
        value = cell.as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise CorruptFileError(
                f"{path}, row {row}: {column} does not hold the bytes of an image; images in files of their own are "
                "not part of LeRobot v2"
            )
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise CorruptFileError(f"{path}, row {row}: the image of {column} does not decode; drop the episode")
        yield np.ascontiguousarray(image[..., ::-1])
