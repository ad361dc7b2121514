"""Instructions as the numbers that each kind of context encoder reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.encoders.keypoint_encoder import word_numbers
from groot.network.backbone import text_bytes


def text_numbers(kind: str, instructions: Sequence[str]) -> NDArray[np.int64] | None:
    """Padded numbers (B, L) for an encoder of `kind`; None where it reads no text, or has a processor of its own."""
    if kind == "own":
        return np.asarray(text_bytes(list(instructions)), dtype=np.int64)
    if kind == "keypoints":
        return np.asarray(word_numbers(instructions), dtype=np.int64)
    return None


def view_stack(images: Any, views: Sequence[str], place: int = 0) -> NDArray[np.uint8]:
    """One picture of each view (B, V, H, W, 3) from a batch of the training reader, at one of its offsets."""
    stacked: NDArray[np.uint8] = np.stack([images[view][:, place] for view in views], axis=1)
    return stacked
