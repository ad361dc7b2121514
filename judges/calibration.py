"""How well a judge's verdicts agree with the truth: of people, or of the simulator.

Intervals are percentiles of a bootstrap over clips. A judge that is unsure is counted for itself: its coverage says how
often it decides at all, and the other figures are of the clips that it decides.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from storage.errors import InputError

ROUNDS, BINS = 1000, 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """One clip: what the judge said (`passed` None where it is unsure), and what is `right`. `kind` says what is wrong
    with the clip, "" where nothing is."""

    score: float | None
    passed: bool | None
    right: bool
    kind: str = ""


def agreement(cases: Sequence[Case], *, seed: int = 0) -> dict[str, Any]:
    """Accuracy, precision, recall, AUROC and kappa with 95 % intervals, a calibration curve, and the share refused by
    kind of failure. Raises InputError without a clip that the judge decided."""
    decided = [case for case in cases if case.passed is not None]
    if not decided:
        raise InputError(f"the judge decided none of the {len(cases)} clips whose truth is known")
    said = np.array([bool(case.passed) for case in decided])
    right = np.array([case.right for case in decided])
    scored = [case for case in decided if case.score is not None]
    scores = np.array([case.score for case in scored], float)
    truth = np.array([case.right for case in scored], bool)
    measures: dict[str, tuple[Callable[..., float], tuple[NDArray[Any], NDArray[Any]]]] = {
        "accuracy": (lambda s, r: float((s == r).mean()), (said, right)),
        "precision": (lambda s, r: _share(r[s]), (said, right)),
        "recall": (lambda s, r: _share(s[r]), (said, right)),
        "kappa": (_kappa, (said, right)),
        "auroc": (_auroc, (scores, truth)),
    }
    figures = {name: _with_interval(measure, *given, seed=seed) for name, (measure, given) in measures.items()}
    return {
        "clips": len(cases),
        "coverage": len(decided) / len(cases),
        "right": float(right.mean()),
        **figures,
        "calibration": calibration_curve(scores, truth),
        "refused_by_kind": refused_by_kind(decided),
    }


def calibration_curve(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[dict[str, float]]:
    """For each tenth of the score that has clips: its mean score, the share that is right, and how many there are."""
    place = np.clip((scores * BINS).astype(int), 0, BINS - 1)
    return [
        {
            "score": float(scores[place == each].mean()),
            "right": float(truth[place == each].mean()),
            "clips": int((place == each).sum()),
        }
        for each in range(BINS)
        if (place == each).any()
    ]


def refused_by_kind(cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Kind of failure -> the share that the judge refuses, and how many there are; "" are the clips that are right."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for case in cases:
        groups[case.kind].append(case.passed is False)
    return {
        kind: {"refused": float(np.mean(refused)), "clips": len(refused)} for kind, refused in sorted(groups.items())
    }


def threshold_for(scores: NDArray[np.float64], truth: NDArray[np.bool_], precision: float) -> dict[str, float] | None:
    """The lowest threshold at which at least `precision` of what passes is right, with what it then keeps; None where
    no threshold reaches that."""
    if not 0 < precision <= 1:
        raise InputError(f"a precision is a share in (0, 1], such as 0.95; got {precision}")
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores pass together
    good = np.flatnonzero((right >= precision) & last)
    if not len(good):
        return None
    at = int(good.max())
    recall = float(truth[order][: at + 1].sum() / max(1, truth.sum()))
    return {
        "threshold": float(scores[order][at]),
        "precision": float(right[at]),
        "kept": (at + 1) / len(order),
        "recall": recall,
    }


def _with_interval(
    measure: Callable[..., float], said: NDArray[Any], right: NDArray[Any], *, seed: int
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(ROUNDS if len(said) else 0):
        at = rng.integers(len(said), size=len(said))
        draws.append(measure(said[at], right[at]))
    known = np.array([draw for draw in draws if np.isfinite(draw)])
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    value = measure(said, right) if len(said) else np.nan
    return {
        name: float(number) for name, number in (("value", value), ("low", low), ("high", high)) if np.isfinite(number)
    }


def _share(true: NDArray[np.bool_]) -> float:
    return float(true.mean()) if len(true) else float("nan")


def _kappa(said: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    if len(np.unique(said)) < 2 and len(np.unique(right)) < 2:
        return float("nan")
    return float(cohen_kappa_score(said, right))


def _auroc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    return float(roc_auc_score(truth, scores)) if 0 < truth.sum() < len(truth) else float("nan")
