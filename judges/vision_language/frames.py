"""Which frames of a clip a model is shown: the first, the last, and the others where motion is.

Frames are sent one by one as pictures: how a server samples a video is its own affair and differs between versions.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import InputError
from storage.frames import Frames, Image

_PROBES, _PROBE_PX = 48, 32
_EVEN_SHARE = 0.5
"""How much of the choice is even in time; the rest follows the motion, so that a long pause costs few frames."""


def chosen_frames(frames: Frames, count: int) -> list[int]:
    """`count` frame numbers in order (fewer where the clip is shorter); the first and the last are among them."""
    if not len(frames):
        raise InputError("a clip without frames cannot be judged")
    count = min(count, len(frames))
    if count == 1:
        return [0]
    probes = np.unique(np.linspace(0, len(frames) - 1, min(_PROBES, len(frames))).round().astype(int))
    pictures = [_small(frames.decode([int(at)])[0]) for at in probes]
    moved = np.array([np.abs(b - a).mean() for a, b in pairwise(pictures)])
    even = np.diff(probes) / (len(frames) - 1)
    motion = moved / moved.sum() if moved.sum() > 0 else even
    passed = np.concatenate([[0.0], np.cumsum(_EVEN_SHARE * even + (1 - _EVEN_SHARE) * motion)])
    wanted = np.interp(np.linspace(0, passed[-1], count), passed, probes).round().astype(int)
    return _distinct(wanted, len(frames))


def _distinct(wanted: NDArray[np.int64], length: int) -> list[int]:
    """`wanted` in order with no number twice and both ends kept; there are at least as many frames as wanted."""
    places = [int(at) for at in wanted]
    places[0], places[-1] = 0, length - 1
    for place in range(1, len(places)):
        places[place] = max(places[place], places[place - 1] + 1)
    places[-1] = length - 1
    for place in range(len(places) - 2, -1, -1):
        places[place] = min(places[place], places[place + 1] - 1)
    return places


def pictures_of(frames: Frames, numbers: Sequence[int], longest_px: int) -> list[Image]:
    """The frames `numbers`, each (H, W, 3), with the longer side at most `longest_px`."""
    return [_at_most(image, longest_px) for image in frames.decode(list(numbers))]


def _at_most(image: Image, longest_px: int) -> Image:
    scale = longest_px / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    resized: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return resized


def _small(image: Image) -> NDArray[np.float32]:
    small: NDArray[np.float32] = cv2.resize(image, (_PROBE_PX, _PROBE_PX), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return small
