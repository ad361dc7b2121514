"""Scores: worked numbers."""

import numpy as np
import pytest

from idm.evaluation.evaluate import path_drift
from idm.evaluation.metrics import (
    calibration_curve,
    changes_over,
    coverage,
    event_f1,
    mean_of_moving,
    motion_errors,
    normalised_error,
    r2_where_moving,
    step_f1,
)
from idm.labelling.gain_offset import Adjustment, fit_adjustment
from storage.errors import CorruptFileError, SchemaError
from storage.labelling.scores import r_squared


def test_the_truth_scores_one_the_mean_zero_and_a_constant_nothing() -> None:
    truth = np.random.default_rng(0).normal(size=(50, 3))
    truth[:, 2] = 4.0
    assert r_squared(truth, truth)[:2].tolist() == [1, 1]
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    np.testing.assert_allclose(r_squared(mean, truth)[:2], 0, atol=1e-12)
    np.testing.assert_allclose(normalised_error(mean, truth)[:2], 1)
    assert np.isnan(r_squared(truth, truth)[2])
    assert mean_of_moving(r_squared(truth, truth), (0, 2)) == 1
    assert np.isnan(mean_of_moving(r_squared(truth, truth), (2,)))


def test_rotations_are_scored_where_they_move() -> None:
    truth = np.zeros((100, 3))
    truth[:10, 0] = 0.5
    labels = truth.copy()
    labels[50:] += 0.01  # noise while nothing turns must not count
    assert r2_where_moving(labels, truth, least=0.05) == 1.0
    assert r2_where_moving(labels * 0, truth, least=0.05) == 0.0
    assert np.isnan(r2_where_moving(labels, truth * 0, least=0.05))


def clip(*changes: int, steps: int = 40) -> np.ndarray:
    values = -np.ones(steps)
    for change in changes:
        values[change:] *= -1
    return values


def test_a_change_within_three_steps_counts_a_later_one_does_not() -> None:
    truth = clip(10, 25)
    assert event_f1([(clip(13, 22), truth)], middle=0) == 1.0
    assert event_f1([(clip(14, 25), truth)], middle=0) == 0.5
    assert event_f1([(clip(), truth)], middle=0) == 0.0
    assert event_f1([(clip(), clip())], middle=0) == 1.0


def test_a_change_to_the_wrong_side_or_a_second_claim_does_not_count() -> None:
    assert event_f1([(-clip(10), clip(10))], middle=0) == 0.0
    assert event_f1([(clip(9, 10, 11), clip(10))], middle=0) == pytest.approx(0.5)
    assert step_f1(clip(10), clip(10), middle=0) == 1.0
    assert step_f1(clip(25), clip(10), middle=0) == pytest.approx(2 * 15 / 45)


def test_changes_and_coverage() -> None:
    values = np.arange(10.0)[:, None] ** 2
    assert changes_over(values, 3)[0, 0] == 9
    assert coverage(np.array([[1.0], [3.0]]), np.array([[2.0], [2.0]])).tolist() == [0.5]
    curve = calibration_curve(np.arange(1, 101.0), np.ones(100), [0.5, 0.9])
    assert curve["factors"] == pytest.approx([50.5, 90.1])


def test_drift_is_a_share_of_the_way() -> None:
    true = np.stack([np.arange(20) * 0.01, np.zeros(20), np.zeros(20)], axis=1)
    off = true + np.array([0, 0.008, 0])
    assert path_drift(off, true, 16) == pytest.approx(0.05)


def test_gain_and_offset_of_a_source_are_found_and_kept(tmp_path) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(0)
    labels = random.normal(size=(2000, 2))
    truth = labels * np.array([2.5, 0.4]) + np.array([0.3, -0.1]) + 0.01 * random.normal(size=(2000, 2))
    found = fit_adjustment([labels[:1000], labels[1000:]], [truth[:1000], truth[1000:]])
    np.testing.assert_allclose(found.gain, [2.5, 0.4], rtol=0.02)
    np.testing.assert_allclose(found.offset, [0.3, -0.1], atol=0.01)
    found.write(tmp_path / "source.json")
    np.testing.assert_allclose(Adjustment.read(tmp_path / "source.json").apply(labels), found.apply(labels))


def test_few_or_dull_clips_do_no_harm() -> None:
    labels = np.full((5, 2), 0.1)
    found = fit_adjustment([labels], [labels * 30], switch=np.array([False, True]))
    assert found.gain[0] == pytest.approx(1.0, abs=0.2)
    assert (found.gain[1], found.offset[1]) == (1.0, 0.0)


def test_bad_adjustments_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(CorruptFileError, match="gain"):
        Adjustment.read(tmp_path / "bad.json")
    with pytest.raises(SchemaError, match="as many labels"):
        fit_adjustment([], [])


def test_an_offset_is_no_error_of_motion_and_a_jump_is_one_around_itself() -> None:
    truth = np.cumsum(np.ones((20, 1)), axis=0)
    labels = truth + 5.0
    labels[10:] += 1.0
    errors, rows = motion_errors(labels, truth, np.arange(20) != 3, steps=4)
    np.testing.assert_allclose(errors[:, 0], (np.arange(20) >= 8) & (np.arange(20) < 12))
    # Steps 1, 3 and 5 need step 3, as an end or as themselves.
    assert np.flatnonzero(~rows).tolist() == [1, 3, 5]
