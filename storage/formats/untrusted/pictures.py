"""Decoding pictures that nobody vouches for: whatever is wrong with their bytes is told in one way."""

from typing import Any

import cv2
import numpy as np

from storage.errors import CorruptFileError
from storage.formats.untrusted.limits import check_encoded_image
from storage.pictures.resizing import RGB


def decode_colour(where: str, content: bytes) -> RGB:
    """(H, W, 3) uint8 of an encoded picture; raises CorruptFileError."""
    return np.ascontiguousarray(_decoded(where, content, cv2.IMREAD_COLOR)[..., ::-1])


def decode_as_it_is(where: str, content: bytes) -> Any:
    """The array of an encoded picture in its own dtype and channels; raises CorruptFileError."""
    return _decoded(where, content, cv2.IMREAD_UNCHANGED)


def _decoded(where: str, content: bytes, how: int) -> Any:
    check_encoded_image(where, content)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), how)
    except cv2.error as error:
        # No byte at all, or a size beyond OpenCV's own limit.
        raise CorruptFileError(f"{where} does not decode ({error.err or error}); drop the episode") from error
    if image is None:
        raise CorruptFileError(f"{where} does not decode as a picture; drop the episode")
    return image
