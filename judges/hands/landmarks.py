"""The one face of everything that finds hands in a picture.

    finder = make_finder(config)
    hands = finder(image)          # image (H, W, 3) uint8 RGB -> list of Hand

A model of your own is a Python file with `make_finder(config) -> HandFinder`; name the file in `HandConfig.model`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.pictures.resizing import RGB

JOINTS = 21
"""Wrist, then thumb, index, middle, ring and little finger from palm to tip, four joints each."""

TIPS = (4, 8, 12, 16, 20)


@dataclass(frozen=True)
class Hand:
    """One hand in one picture. `landmarks` (21, 3) float32: x and y over image width and height, depth against the
    wrist in image widths, smaller is nearer. `score` 0..1 says how sure the model is that this is a hand. `right` is
    the person's right hand."""

    right: bool
    score: float
    landmarks: NDArray[np.float32]


class HandFinder(Protocol):
    """Finds the hands in a picture: at most one left and one right hand, the surest of each."""

    def __call__(self, image: RGB, /) -> list[Hand]: ...
