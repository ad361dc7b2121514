"""What a model cannot see, found before it is asked: dark frames and frozen video. Flags of a labelled step.

A label is never invented for such a step. Patches that cover the view are told by the model itself (it learned them
in training, because neither an ensemble nor distances in feature space notice them), unfamiliar scenes by the
distance of their features.
"""

import numpy as np
from numpy.typing import NDArray

UNSEEN = 1
"""No window of visible frames covers the step: there is no label."""
DARK = 2
"""The frame is black, white or of one colour."""
FROZEN = 4
"""The frame is one of a run of equal frames."""
COVERED = 8
"""Something covers the view."""
UNFAMILIAR = 16
"""The scene is unlike the training data: shifted camera, distractors, another body."""
STRETCHED = 32
"""The clip's rate is not the trained one: the chunk was stretched in time."""

_REASONS = {"dark": DARK, "frozen": FROZEN, "covered": COVERED}
_LEAST_CONTRAST = 4.0
_SAME = 0.25


def dark_frames(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the frames (N, H, W, 3) hold nothing: deviation of green, most of the brightness, below 4 of 255."""
    spread = images[..., 1].std(axis=(1, 2), dtype=np.float32)
    dark: NDArray[np.bool_] = spread < _LEAST_CONTRAST
    return dark


def repeats(images: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> NDArray[np.bool_]:
    """Which frames (N, H, W, 3) equal the one in front of them (`before` the first), up to compression: mean difference
    under a quarter of a level. The first frame of a clip repeats nothing."""
    green = images[..., 1].astype(np.int16)
    previous = green[:1] if before is None else before[None, ..., 1].astype(np.int16)
    change = np.abs(np.diff(np.concatenate([previous, green]), axis=0)).mean(axis=(1, 2))
    same: NDArray[np.bool_] = change < _SAME
    if before is None:
        same[0] = False
    return same


def frozen_frames(same: NDArray[np.bool_], *, least: int) -> NDArray[np.bool_]:
    """Frames of runs in which at least `least` frames in a row repeat the one before: `same` (T,) -> (T,), the frame
    that is repeated included. Shorter runs may be a robot that stands still."""
    frozen = np.zeros(len(same), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin >= least:
            frozen[max(begin - 1, 0) : end] = True
    return frozen


def masked_shares(flags: NDArray[np.uint8]) -> dict[str, float]:
    """Share of the steps (T,) that have a label ("valid"), and of those that have none, by reason; a step may have two.
    "no window" are steps that can be seen and that no window of visible frames covers, most at the ends of a clip."""
    unseen = (flags & UNSEEN) > 0
    masked = {name: unseen & ((flags & bit) > 0) for name, bit in _REASONS.items()}
    masked["no window"] = unseen & ~np.logical_or.reduce(list(masked.values()))
    return {name: float(np.mean(steps)) for name, steps in {"valid": ~unseen, **masked}.items()}
