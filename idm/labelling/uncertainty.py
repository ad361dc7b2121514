"""How sure a label is: measured uncertainty, calibrated on held-out clips.

Three measures of uncertainty come free with a label: the error that the network expects, the spread of its ensemble,
the disagreement of overlapping windows. Their mixture is fitted to the errors on held-out clips; a conformal factor
makes its intervals cover 90 % of held-out steps (split conformal prediction, Papadopoulos et al. 2002; Lei et al.,
arXiv 1604.04173). Whether a window is familiar is told by the Mahalanobis distance of its features (Lee et al., arXiv
1807.03888). T steps, D numbers of an action, G groups of them, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.metrics import roc_auc_score

from idm.labelling.aggregate_windows import Combination, Combined
from storage.errors import SchemaError

Array = NDArray[Any]
COVERAGE = 0.9
MEASURES = ("stated", "members", "overlap")


@dataclass(frozen=True)
class Uncertainty:
    """An expected absolute error from the measures of uncertainty: `mixture` (3, D) of them, and `floor` (D,)."""

    mixture: Array
    floor: Array

    @classmethod
    def fitted(cls, errors: Array, measures: Sequence[Array]) -> "Uncertainty":
        """What explains `errors` (n, D) best, from the `measures` (3 x (n, D)) on the same steps."""
        return cls(*mixture_of_uncertainty(errors, measures))

    def of(self, combined: Combined) -> Array:
        """Expected absolute error (T, D)."""
        measures = [getattr(combined, name) for name in MEASURES]
        mixed: Array = sum((w * m for w, m in zip(self.mixture, measures, strict=True)), self.floor)
        return mixed

    def to_json(self) -> dict[str, Any]:
        return {"mixture": self.mixture.tolist(), "floor": self.floor.tolist()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Uncertainty":
        return cls(np.asarray(record["mixture"], float), np.asarray(record["floor"], float))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Fitted on held-out clips of one body. `error` is the uncertainty about a number, and `factor` (D,) makes it a
    90 % interval. `motion` is the uncertainty behind the confidence: about how far absolute numbers move, for others
    the same.
    `typical` (G,) is its median in a group, over the dimensions' scale `unit` (D,). `familiar` are the median and the
    99 % quantile of the distance of a clean window, `covered_logit` the 99 % quantile of the visibility output on
    clean clips, `camera_moves` the share of their windows in which the whole picture moves, `jump` the 99.9 % quantile
    of how far the pose that is seen jumps from one frame to the next (see `idm.labelling.label.pose_jumps`)."""

    combination: Combination
    error: Uncertainty
    motion: Uncertainty
    factor: Array
    unit: Array
    typical: Array
    familiar: tuple[float, float]
    covered_logit: float
    camera_moves: float = 0.0
    jump: float = float("inf")

    @classmethod
    def none(cls, *, steps: int, size: int, groups: int) -> "Calibration":
        """Of a model that was never calibrated: the network's own statements, taken as they are."""
        ones = np.ones(size)
        stated = Uncertainty(np.stack([ones, 0 * ones, 0 * ones]), 1e-6 * ones)
        return cls(
            combination=Combination.plain(steps, size),
            error=stated,
            motion=stated,
            factor=2 * ones,
            unit=ones,
            typical=np.ones(groups),
            familiar=(0.0, float("inf")),
            covered_logit=2.0,
        )

    def interval(self, combined: Combined) -> Array:
        """Half width (T, D) of the 90 % interval."""
        return self.factor * self.error.of(combined)

    def confidence(self, combined: Combined, groups: Sequence[Sequence[int]], strangeness: Array) -> Array:
        """Confidence (T, G) in 0..1: one half for a step of median uncertainty in a familiar scene, less with more
        uncertainty, and less the stranger (`strangeness` (T,), 1 at the limit) it looks."""
        relative = self.motion.of(combined) / self.unit
        by_group = np.stack([relative[:, list(group)].mean(axis=1) for group in groups], axis=1)
        sure = 1 / (1 + by_group / np.maximum(self.typical, 1e-12))
        known = np.minimum(1.0, 1 / np.maximum(strangeness, 1e-12) ** 2)
        result: Array = sure * known[:, None]
        return result

    def to_json(self) -> dict[str, Any]:
        far = self.familiar[1]
        return {
            **self.error.to_json(),
            "motion": self.motion.to_json(),
            **{name: getattr(self, name).tolist() for name in ("factor", "unit", "typical")},
            "combination": self.combination.to_json(),
            "familiar": [self.familiar[0], far if np.isfinite(far) else None],
            "covered_logit": self.covered_logit,
            "camera_moves": self.camera_moves,
            "jump": self.jump if np.isfinite(self.jump) else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Calibration":
        (near, far), jump = record["familiar"], record.get("jump")
        error = Uncertainty.from_json(record)
        return cls(
            combination=Combination.from_json(record["combination"]),
            error=error,
            motion=Uncertainty.from_json(record["motion"]) if "motion" in record else error,
            familiar=(near, float("inf") if far is None else far),
            covered_logit=record["covered_logit"],
            camera_moves=record.get("camera_moves", 0.0),
            jump=float("inf") if jump is None else jump,
            **{name: np.asarray(record[name], float) for name in ("factor", "unit", "typical")},
        )


def mixture_of_uncertainty(errors: Array, measures: Sequence[Array]) -> tuple[Array, Array]:
    """Weights (3, D) and floor (D,) of the measures (3 x (n, D)) that explain the absolute `errors` (n, D) best, none
    negative."""
    size = errors.shape[1]
    weights, floor = np.zeros((len(measures), size)), np.zeros(size)
    for d in range(size):
        columns = np.stack([measure[:, d] for measure in measures] + [np.ones(len(errors))], axis=1)
        spread = columns.mean(axis=0)
        spread[spread < 1e-12] = 1.0
        limit = np.quantile(np.abs(errors[:, d]), 0.99) if len(errors) else 1.0
        solution, _ = nnls(columns / spread, np.minimum(np.abs(errors[:, d]), limit))
        weights[:, d], floor[d] = solution[:-1] / spread[:-1], max(solution[-1], 0.02 * limit, 1e-9)
    return weights, floor


def conformal_factor(errors: Array, uncertainty: Array, *, coverage: float = COVERAGE) -> Array:
    """Factor (D,) so that |error| <= factor x uncertainty in a share `coverage` of the held-out steps (n, D)."""
    count = len(errors)
    if count < 20:
        raise SchemaError(f"conformal intervals take at least 20 held-out steps; got {count}")
    rank = min(1.0, np.ceil((count + 1) * coverage) / count)
    factor: Array = np.quantile(np.abs(errors) / uncertainty, rank, axis=0)
    return np.maximum(factor, 1e-9)


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """Mean (C,) and whitening (C, C) of the features of training windows."""

    mean: Array
    whitening: Array

    @classmethod
    def of(cls, pooled: Array) -> "Familiarity":
        """From features (n, C). The covariance is shrunk towards its mean variance, more so the fewer windows there
        are."""
        values = pooled.astype(np.float64)
        mean = values.mean(axis=0)
        centred = values - mean
        covariance = centred.T @ centred / max(len(values) - 1, 1)
        shrinkage = min(0.5, 5.0 * values.shape[1] / max(len(values), 1) * 0.1)
        average = np.trace(covariance) / len(mean)
        covariance = (1 - shrinkage) * covariance + shrinkage * average * np.eye(len(mean)) + 1e-9 * np.eye(len(mean))
        inverse = np.linalg.inv(covariance)
        return cls(mean=mean, whitening=np.linalg.cholesky(inverse))

    def distance(self, pooled: Array) -> Array:
        """Mahalanobis distance (n,) over the root of C, so that training windows lie near 1."""
        turned = (pooled.astype(np.float64) - self.mean) @ self.whitening
        length: Array = np.sqrt((turned**2).mean(axis=1))
        return length


def auroc(clean: Array, strange: Array) -> float:
    """Probability that a strange clip scores higher than a clean one; ties count half."""
    scores = np.concatenate([np.asarray(clean, float), np.asarray(strange, float)])
    return float(roc_auc_score(np.r_[np.zeros(len(clean)), np.ones(len(strange))], scores))


def ratio_of_least_sure(errors: Array, uncertainty: Array, *, share: float = 0.2) -> float:
    """Mean error of the least sure `share` of the steps (n,) over that of the rest."""
    order = np.argsort(-uncertainty, kind="stable")
    count = max(int(len(order) * share), 1)
    worst, rest = errors[order[:count]].mean(), errors[order[count:]].mean()
    return float(worst / max(rest, 1e-12))
