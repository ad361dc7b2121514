"""Linear probes: how much of a motion a linear map reads off a latent (ridge regression; R2 on clips never fitted on).

A probe says that the motion is contained, not that nothing else is (the caveat of LAOM, arXiv 2502.00379).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import InputError

Array = NDArray[np.float32]
_PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
_FOLDS = 4


@dataclass(frozen=True)
class Probe:
    """A fitted probe: `features` (P, F) are centred and scaled, multiplied by `weights` (F, A), moved by `offset`."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    penalty: float

    def predict(self, features: Array) -> NDArray[np.float64]:
        """Motions (P, A)."""
        moved: NDArray[np.float64] = (features - self.centre) / self.scale @ self.weights + self.offset
        return moved


def fit_probe(features: Array, motions: Array, clips: NDArray[np.int64]) -> Probe:
    """Ridge regression from `features` (P, F) to `motions` (P, A); the penalty is chosen over folds of whole clips.

    `clips` (P,) numbers the clip of each row: neighbouring steps of one clip are nearly the same step.
    """
    if len(features) < 2 * _FOLDS:
        raise InputError(f"a probe needs at least {2 * _FOLDS} labelled pairs; got {len(features)}")
    fold = np.unique(clips, return_inverse=True)[1] % _FOLDS
    x, y = features.astype(np.float64), motions.astype(np.float64)
    spread = y.var(axis=0) + 1e-12
    losses = []
    for penalty in _PENALTIES:
        total = 0.0
        for held in range(_FOLDS):
            out = fold == held
            if out.any() and not out.all():
                probe = _ridge(x[~out], y[~out], penalty)
                total += float((np.square(probe.predict(x[out]) - y[out]) / spread).sum())
        losses.append(total)
    return _ridge(x, y, _PENALTIES[int(np.argmin(losses))])


def _ridge(x: NDArray[np.float64], y: NDArray[np.float64], penalty: float) -> Probe:
    centre, scale, offset = x.mean(axis=0), x.std(axis=0) + 1e-8, y.mean(axis=0)
    scaled = (x - centre) / scale
    gram = scaled.T @ scaled + penalty * len(x) * np.eye(x.shape[1])
    return Probe(centre, scale, np.linalg.solve(gram, scaled.T @ (y - offset)), offset, penalty)


def r_squared(predicted: NDArray[np.float64], truth: Array) -> NDArray[np.float64]:
    """R2 of each number, (A,): 1 is perfect, 0 is their mean; NaN where the truth does not move."""
    exact = truth.astype(np.float64)
    spread = np.square(exact - exact.mean(axis=0)).sum(axis=0)
    error = np.square(predicted - exact).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-8 * len(truth), 1 - error / spread, np.nan)


def by_group(scores: NDArray[np.float64], groups: Mapping[str, slice]) -> dict[str, float]:
    """Mean of the scores of each group over the numbers that move; groups that never move are left out."""
    means = {name: scores[span] for name, span in groups.items()}
    return {name: float(np.nanmean(each)) for name, each in means.items() if not np.isnan(each).all()}
