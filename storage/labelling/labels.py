"""The language of labels that every labeller writes: flags, the value of a step without a label, reasons of drops.

    action/<kind>            (F, D) float32, NaN where a step has no label
    label/valid/<kind>       (F,) bool, whether a step has one
    label/flags/<kind>       (F,) uint16, bits of `LabelFlag`
    label/interval/<kind>    (F, D) float32, NaN where a step has no label
    label/confidence/<kind>  (F, G) float32, 0 where a step has no label
    label/codes              (F, C) int32, -1 where a step has no label

F steps, D numbers, G groups, C codes.
"""

from collections.abc import Mapping
from enum import IntFlag, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_NUMBER = np.float32(np.nan)
"""What stands in an action or an interval where a step has no label."""
NO_CODE = -1
FLAGS_DTYPE = np.uint16


class LabelFlag(IntFlag):
    """Why a step has no label, or what to know about the one it has. A step without a label has `UNLABELLED`, and the
    bits of whatever is wrong with it; alone it means that no window of frames covers the step."""

    UNLABELLED = 1
    DARK = 2
    """The frame is black, white or of one colour."""
    FROZEN = 4
    """The picture stands still."""
    COVERED = 8
    """Something covers the view."""
    UNFAMILIAR = 16
    """The pictures are unlike those that the model was trained on."""
    STRETCHED = 32
    """The window is not the trained one: stretched in time to the clip's rate, or moved back to fit into the clip."""
    CUT = 64
    """The shot changes inside the window."""
    CORRUPT = 128
    """A frame does not decode, or the source itself marks the step as invalid."""
    CAMERA_MOTION = 256
    """The camera moves and hardly anything else does: a latent action of it says that the head turned, and no more."""


class DropReason(StrEnum):
    """Why a labeller drops a whole episode."""

    NO_VIDEO = "no_video"
    MISSING_CAMERA = "missing_camera"
    TOO_SHORT = "shorter_than_a_window"
    NOTHING_LABELLED = "too_little_seen"
    UNFIT_MODEL = "unfit_model_for_this_video"


_REASONS: Mapping[str, LabelFlag] = {
    "corrupt": LabelFlag.CORRUPT,
    "dark": LabelFlag.DARK,
    "cut": LabelFlag.CUT,
    "frozen": LabelFlag.FROZEN,
    "covered": LabelFlag.COVERED,
    "camera motion": LabelFlag.CAMERA_MOTION,
    "unfamiliar": LabelFlag.UNFAMILIAR,
}
"""Reasons in the order in which they count: a step is counted under the first that it has."""
_OLD_LATENT = {1: 1, 2: 64, 4: 2, 8: 4, 16: 128}
"""Bits of `label/flags/latent` in labels written as uint8."""


def step_shares(flags: NDArray[Any]) -> dict[str, float]:
    """Share of the steps (T,) that have a label ("labelled"), and of those that have none by reason. Each step counts
    once, so the shares sum to 1. "no window": no window of frames covers the step."""
    left = (flags & LabelFlag.UNLABELLED) > 0
    shares = {"labelled": float(np.mean(~left)) if len(left) else 0.0}
    for name, bit in _REASONS.items():
        mine = left & ((flags & bit) > 0)
        shares[name] = float(np.mean(mine)) if len(left) else 0.0
        left = left & ~mine
    return {**shares, "no window": float(np.mean(left)) if len(left) else 0.0}


def flag_shares(flags: NDArray[Any]) -> dict[str, float]:
    """Share of the labelled steps (T,) that carry each warning; flags that no labelled step has are left out."""
    labelled = flags[(flags & LabelFlag.UNLABELLED) == 0]
    shares = {name: float(np.mean((labelled & bit) > 0)) for name, bit in _WARNINGS.items()} if len(labelled) else {}
    return {name: share for name, share in shares.items() if share}


_WARNINGS = {**_REASONS, "stretched": LabelFlag.STRETCHED}


def current_flags(name: str, stored: NDArray[Any]) -> NDArray[np.uint16]:
    """Flags as stored under `name` ("label/flags/<kind>") in today's bits: labels used to be written as uint8, those
    of latents with bits of their own and without `UNLABELLED`."""
    if stored.dtype != np.uint8:
        return stored
    if not name.endswith("/latent"):
        return stored.astype(FLAGS_DTYPE)
    flags = np.where(stored > 0, FLAGS_DTYPE(LabelFlag.UNLABELLED), FLAGS_DTYPE(0))
    for old, new in _OLD_LATENT.items():
        flags |= np.where(stored & old, FLAGS_DTYPE(new), FLAGS_DTYPE(0))
    return flags


def without_label(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`values` (T, D) with NaN at the steps that are not `valid` (T,)."""
    return np.where(valid[:, None], values, NO_NUMBER).astype(np.float32)
