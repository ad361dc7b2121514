"""What the numbers of an episode say about its quality, without any model: pure functions of its arrays.

Every measure is free of units: it compares an episode with itself. T steps, D dimensions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import Layout

Rows = NDArray[np.float64]
_TINY = 1e-9
_ROBUST_SIGMA = 1.4826
_FEW_VALUES = 8
_WIDE = 0.2


def still_share(rows: Rows, *, moved: float = 1e-3) -> float:
    """Share of steps (T - 1) in which no dimension moves by more than `moved` of the widest range of the episode."""
    if len(rows) < 2:
        return 1.0
    width = float(np.ptp(rows, axis=0).max())
    steps = np.abs(np.diff(rows, axis=0)).max(axis=1)
    return float((steps <= max(moved * width, _TINY)).mean())


def jerkiness(rows: Rows) -> float:
    """Root mean square of third differences over that of first differences, of the dimensions that move, in the
    median: a smooth motion is far below 1, white noise is at 3.2 (sqrt(20 / 2))."""
    if len(rows) < 5:
        return 0.0
    first, third = np.diff(rows, axis=0), np.diff(rows, n=3, axis=0)
    speed = np.sqrt(np.square(first).mean(axis=0))
    moving = speed > _TINY
    if not moving.any():
        return 0.0
    return float(np.median(np.sqrt(np.square(third[:, moving]).mean(axis=0)) / speed[moving]))


def saturated_share(rows: Rows, layout: Layout) -> tuple[float, int]:
    """(largest share of steps in which a dimension sits at its own extreme and the one before did too, that dimension);
    grippers, hands and dimensions of few values, which do that by nature, are left out."""
    free = _moved_smoothly(rows, layout)
    if not free.any() or len(rows) < 2:
        return 0.0, -1
    at_end = (rows == rows.min(axis=0)) | (rows == rows.max(axis=0))
    share = (at_end[1:] & at_end[:-1] & (rows[1:] == rows[:-1])).mean(axis=0)
    share[~free] = 0.0
    worst = int(share.argmax())
    return float(share[worst]), worst


def constant_share(rows: Rows) -> tuple[float, list[int]]:
    """(share of the dimensions that never change, which)."""
    still = np.flatnonzero(np.ptp(rows, axis=0) <= _TINY)
    return len(still) / rows.shape[1], still.tolist()


def outlier_share(rows: Rows, layout: Layout, *, sigmas: float = 12.0) -> tuple[float, int]:
    """(share of steps with a jump between neighbours of more than `sigmas` robust deviations of the jumps of its
    dimension and a fifth of its range, the first such step or -1); grippers, hands and dimensions of few values, which
    are switched, are left out."""
    if len(rows) < 4:
        return 0.0, -1
    jumps = np.diff(rows, axis=0)
    spread = _ROBUST_SIGMA * np.median(np.abs(jumps - np.median(jumps, axis=0)), axis=0)
    floor = _WIDE * np.ptp(rows, axis=0)
    wild = (np.abs(jumps) > np.maximum(sigmas * spread, floor)) & _moved_smoothly(rows, layout)
    steps = np.flatnonzero(wild.any(axis=1))
    return len(steps) / len(jumps), int(steps[0]) + 1 if len(steps) else -1


def _moved_smoothly(rows: Rows, layout: Layout) -> NDArray[np.bool_]:
    """Which dimensions are neither grippers nor hands and take more than a few values: the others are switched, or
    never move."""
    ordered = np.sort(rows, axis=0)
    distinct = (np.diff(ordered, axis=0) > _TINY).sum(axis=0) + 1
    continuous: NDArray[np.bool_] = distinct > _FEW_VALUES
    for part, span in layout:
        if part.quantity in ("gripper", "hand"):
            continuous[span] = False
    return continuous


def follow_error(state: Rows, action: Rows) -> float:
    """How far the state stays from the action that it is to follow: the median over moving dimensions of the least
    (over lags of 0 to 5 steps) mean distance, as a share of the action's range. For actions that are targets of the
    state."""
    if state.shape != action.shape or len(state) < 8:
        return 0.0
    width = np.ptp(action, axis=0)
    moving = width > 1e-6
    if not moving.any():
        return 0.0
    errors = [
        np.abs(state[lag:, moving] - action[: len(action) - lag, moving]).mean(axis=0) / width[moving]
        for lag in range(6)
    ]
    return float(np.median(np.min(errors, axis=0)))


def clock_jitter(stamps: Rows, rate_hz: float) -> float:
    """Largest deviation of a step's length from 1 / rate, as a share of it."""
    if len(stamps) < 2:
        return 0.0
    return float(np.abs(np.diff(stamps) * rate_hz - 1).max())


def numbers_of(array: NDArray[Any]) -> Rows:
    """An array (T, D) in double precision."""
    return np.asarray(array, np.float64)
