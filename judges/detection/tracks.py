"""From boxes in some frames to a box for every frame: doubtful ones left out, gaps filled where they are short."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def without_jumps(boxes: Array, seen: NDArray[np.bool_], *, jump: float) -> NDArray[np.bool_]:
    """Which of the looked-at frames (n,) keep their box (n, 4), centre and size in 0..1: not those whose centre lies
    more than `jump` from both neighbours that are seen while these lie within `jump` of each other."""
    kept = seen.copy()
    at = np.flatnonzero(seen)
    for before, place, after in zip(at[:-2], at[1:-1], at[2:], strict=True):
        here = boxes[place, :2]
        if (
            np.linalg.norm(here - boxes[before, :2]) > jump
            and np.linalg.norm(here - boxes[after, :2]) > jump
            and np.linalg.norm(boxes[before, :2] - boxes[after, :2]) <= jump
        ):
            kept[place] = False
    return kept


def filled(
    frames: NDArray[np.int64], boxes: Array, scores: Array, seen: NDArray[np.bool_], *, length: int, longest_gap: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes (length, 5), centre, size and score, and where they hold (length,).

    Between two frames that are seen and lie at most `longest_gap` frames apart everything is interpolated, and the
    frames behind the last look keep its box as far as the next look would have been.
    """
    out = np.zeros((length, 5), np.float32)
    valid = np.zeros(length, bool)
    rows = np.concatenate([boxes, scores[:, None]], axis=1)
    at = np.flatnonzero(seen)
    for place in at:
        out[frames[place]], valid[frames[place]] = rows[place], True
    for one, other in pairwise(at):
        first, last = int(frames[one]), int(frames[other])
        if last - first <= longest_gap:
            share = (np.arange(first, last) - first)[:, None] / (last - first)
            out[first:last] = (1 - share) * rows[one] + share * rows[other]
            valid[first:last] = True
    return out, valid
