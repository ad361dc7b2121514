"""Scores of predictions against the truth that both labellers are measured by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def r_squared(predicted: NDArray[Any], truth: NDArray[Any], *, still: float = 1e-6) -> NDArray[np.float64]:
    """The coefficient of determination of each number, (D,), of `predicted` and `truth` (N, D): 1 is perfect, 0 is the
    truth's mean; NaN where the truth's standard deviation is at most `still`."""
    from sklearn.metrics import r2_score

    exact = np.asarray(truth, np.float64)
    scores: NDArray[np.float64] = np.full(exact.shape[1], np.nan)
    moving = exact.std(axis=0) > still
    if moving.any():
        scores[moving] = r2_score(exact[:, moving], np.asarray(predicted)[:, moving], multioutput="raw_values")
    return scores
