"""Agreement of a judge with the truth: known numbers on known cases."""

import numpy as np
import pytest

from judges.calibration import Case, agreement, threshold_for
from storage.errors import InputError


def cases(*rows: tuple[float, bool, str]) -> list[Case]:
    return [Case(score=score, passed=score >= 0.5, right=right, kind=kind) for score, right, kind in rows]


PERFECT = cases(*[(0.9, True, "")] * 5, *[(0.1, False, "dropped")] * 5)


def test_a_judge_that_is_always_right_scores_one_everywhere() -> None:
    figures = agreement(PERFECT)
    for name in ("accuracy", "precision", "recall", "kappa", "auroc"):
        assert figures[name]["value"] == 1.0
    assert figures["refused_by_kind"]["dropped"] == {"refused": 1.0, "clips": 5}


def test_a_judge_that_passes_everything_has_no_kappa_and_the_precision_of_the_data() -> None:
    figures = agreement(cases(*[(0.9, True, "")] * 6, *[(0.9, False, "")] * 2))
    assert figures["precision"]["value"] == 0.75
    assert figures["recall"]["value"] == 1.0
    assert figures["kappa"]["value"] == 0.0
    assert figures["auroc"]["value"] == 0.5


def test_the_interval_holds_the_value_and_more_clips_make_it_narrower() -> None:
    few = cases(*[(0.9, True, "")] * 7, *[(0.9, False, "")] * 3)
    low, high = (agreement(few)["accuracy"][name] for name in ("low", "high"))
    assert low <= agreement(few)["accuracy"]["value"] <= high
    more = agreement(few * 20)["accuracy"]
    assert more["high"] - more["low"] < high - low


def test_unsure_verdicts_count_against_coverage_alone() -> None:
    unsure = [Case(score=None, passed=None, right=True)] * 10
    figures = agreement([*PERFECT, *unsure])
    assert figures["coverage"] == 0.5
    assert figures["accuracy"]["value"] == 1.0


def test_the_calibration_curve_tells_overconfidence() -> None:
    curve = agreement(cases(*[(0.95, True, "")] * 5, *[(0.95, False, "")] * 5))["calibration"]
    assert curve == [{"score": pytest.approx(0.95), "right": 0.5, "clips": 10}]


def test_a_threshold_by_precision_keeps_as_much_as_it_may() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    truth = np.array([True, True, False, True, False])
    found = threshold_for(scores, truth, 0.75)
    assert found == {"threshold": 0.6, "precision": 0.75, "kept": 0.8, "recall": 1.0}
    assert threshold_for(scores, np.zeros(5, bool), 0.5) is None


def test_clips_of_one_score_pass_together() -> None:
    found = threshold_for(np.array([0.9, 0.9, 0.9]), np.array([True, False, False]), 0.9)
    assert found is None


def test_a_judge_that_decided_nothing_cannot_be_measured() -> None:
    with pytest.raises(InputError, match="decided none of the 3 clips"):
        agreement([Case(score=None, passed=None, right=True)] * 3)
