"""Linear probes: how much of a motion a linear map reads off a latent (ridge regression; R2 on clips never fitted on).

A probe says that the motion is contained, not that nothing else is (the caveat of LAOM, arXiv 2502.00379).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import InputError

Array = NDArray[np.float32]
_PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
_FOLDS = 4


def fit_probe(features: Array, motions: Array, clips: NDArray[np.int64]) -> Any:
    """A scikit-learn pipeline that maps `features` (P, F) to `motions` (P, A): scaled, then ridge regression whose
    penalty is chosen over folds of whole clips.

    `clips` (P,) numbers the clip of each row: neighbouring steps of one clip are nearly the same step. Its `predict`
    takes (P, F) and gives (P, A).
    """
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    if len(features) < 2 * _FOLDS:
        raise InputError(f"a probe needs at least {2 * _FOLDS} labelled pairs; got {len(features)}")
    folds = np.unique(clips, return_inverse=True)[1] % _FOLDS
    x, y = features.astype(np.float64), motions.astype(np.float64)
    if len(np.unique(folds)) < 2:
        return _ridge(_PENALTIES[0], len(x)).fit(x, y)
    spread = y.var(axis=0) + 1e-12

    def loss(penalty: float) -> float:
        guess = cross_val_predict(_ridge(penalty, len(x)), x, y, cv=PredefinedSplit(folds))
        return float((np.square(guess - y) / spread).sum())

    return _ridge(min(_PENALTIES, key=loss), len(x)).fit(x, y)


def _ridge(penalty: float, rows: int) -> Any:
    """Scaled ridge regression; the penalty is for each row, as the mean of squares would have it."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=penalty * rows))


def by_group(scores: NDArray[np.float64], groups: Mapping[str, slice]) -> dict[str, float]:
    """Mean of the scores of each group over the numbers that move; groups that never move are left out."""
    means = {name: scores[span] for name, span in groups.items()}
    return {name: float(np.nanmean(each)) for name, each in means.items() if not np.isnan(each).all()}
