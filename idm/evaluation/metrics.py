"""Scores of labels against true actions. T steps, D numbers of an action."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.labelling.scores import r_squared

Array = NDArray[Any]
GRIPPER_TOLERANCE_STEPS = 3


def normalised_error(labels: Array, truth: Array) -> Array:
    """Mean squared error over the truth's variance (D,): 1 is no better than the mean."""
    return 1 - r_squared(labels, truth)


def mean_of_moving(scores: Array, dimensions: Sequence[int]) -> float:
    """Mean over the dimensions that change; NaN when none does."""
    chosen = scores[list(dimensions)]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if len(chosen) else float("nan")


def r2_where_moving(labels: Array, truth: Array, *, least: float) -> float:
    """R2 pooled over the dimensions (T, D), on the steps at which the true vector is longer than `least`. Each
    dimension is compared with no motion at all, the best guess without looking."""
    moving = np.linalg.norm(truth, axis=1) > least
    if moving.sum() < 2:
        return float("nan")
    labels, truth = labels[moving], truth[moving]
    return float(1 - ((labels - truth) ** 2).sum() / (truth**2).sum())


def switch_events(values: Array, *, middle: float) -> list[tuple[int, bool]]:
    """Steps (T,) at which a switch changes, and to which side."""
    state = values > middle
    return [(int(step) + 1, bool(state[step + 1])) for step in np.flatnonzero(np.diff(state.astype(np.int8)))]


def event_f1(clips: Sequence[tuple[Array, Array]], *, middle: float, tolerance: int = GRIPPER_TOLERANCE_STEPS) -> float:
    """F1 of the changes of a switch over clips of (labels, truth), each (T,): a change counts as found when one to
    the same side lies within `tolerance` steps, each used once. 1 when there is nothing to find and nothing was
    found."""
    right = wanted = claimed = 0
    for labels, truth in clips:
        claims, changes = switch_events(labels, middle=middle), switch_events(truth, middle=middle)
        claimed, wanted = claimed + len(claims), wanted + len(changes)
        for step, side in changes:
            near = [c for c in claims if c[1] == side and abs(c[0] - step) <= tolerance]
            if near:
                claims.remove(min(near, key=lambda claim: abs(claim[0] - step)))
                right += 1
    return 1.0 if claimed + wanted == 0 else 2 * right / (claimed + wanted)


def step_f1(labels: Array, truth: Array, *, middle: float) -> float:
    """F1 of the closed steps of a switch, step by step."""
    guess, true = labels > middle, truth > middle
    hits = int((guess & true).sum())
    total = int(guess.sum() + true.sum())
    return 1.0 if total == 0 else 2 * hits / total


def changes_over(values: Array, steps: int) -> Array:
    """How far absolute numbers (T, D) move in `steps` steps: (T - steps, D)."""
    moved: Array = values[steps:] - values[:-steps]
    return moved


def motion_errors(
    labels: Array, truth: Array, rows: NDArray[np.bool_], *, steps: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Error (T, D) of how far absolute numbers move in the `steps` steps around each step, fewer at the ends of the
    clip; and at which steps (T,) both ends are among `rows`."""
    here = np.arange(len(labels))
    first = np.maximum(here - steps // 2, 0)
    last = np.minimum(here + steps - steps // 2, len(labels) - 1)
    errors: Array = (labels[last] - labels[first]) - (truth[last] - truth[first])
    return errors, rows & rows[first] & rows[last]


def coverage(errors: Array, interval: Array) -> Array:
    """Share of steps whose error lies within its interval (D,)."""
    inside: Array = (np.abs(errors) <= interval).mean(axis=0)
    return inside


def calibration_curve(errors: Array, uncertainty: Array, shares: Sequence[float]) -> Mapping[str, list[float]]:
    """For a calibration plot: the factor on the uncertainty that covers each share on these steps, and error against
    uncertainty in ten equally filled bins."""
    ratio = np.abs(errors) / np.maximum(uncertainty, 1e-12)
    order = np.argsort(uncertainty)
    bins = np.array_split(order, 10)
    return {
        "shares": [float(share) for share in shares],
        "factors": [float(np.quantile(ratio, share)) for share in shares],
        "uncertainty": [float(uncertainty[rows].mean()) for rows in bins if len(rows)],
        "error": [float(np.abs(errors)[rows].mean()) for rows in bins if len(rows)],
    }
