"""Calibration of uncertainty: coverage on new data, distances, measures."""

from dataclasses import replace

import numpy as np
import pytest

from idm.fitting.calibrate import motion_uncertainty
from idm.labelling.aggregate_windows import Combined
from idm.labelling.uncertainty import (
    MEASURES,
    Calibration,
    Familiarity,
    Uncertainty,
    auroc,
    conformal_factor,
    mixture_of_uncertainty,
    ratio_of_least_sure,
)
from storage.errors import SchemaError


def world(seed: int, count: int = 4000) -> tuple[np.ndarray, list[np.ndarray]]:
    """Errors whose size follows the first of three measures; the others are noise."""
    random = np.random.default_rng(seed)
    size = random.uniform(0.1, 2.0, size=(count, 2))
    errors = random.laplace(size=(count, 2)) * size
    return errors, [size, random.uniform(size=(count, 2)), random.uniform(size=(count, 2))]


def combined(measures: list[np.ndarray]) -> Combined:
    steps = len(measures[0])
    return Combined(
        action=np.zeros((steps, 2)),
        covered=np.ones(steps, bool),
        stated=measures[0],
        members=measures[1],
        overlap=measures[2],
    )


def test_intervals_cover_what_they_promise_on_new_steps() -> None:
    errors, measures = world(0)
    uncertainty = Uncertainty.fitted(errors, measures)
    plain = Calibration.none(steps=1, size=2, groups=1)
    factor = conformal_factor(errors, uncertainty.of(combined(measures)))
    new_errors, new_measures = world(1)
    calibration = Calibration(
        combination=plain.combination,
        error=uncertainty,
        motion=uncertainty,
        factor=factor,
        unit=np.ones(2),
        typical=np.ones(1),
        familiar=(0.0, float("inf")),
        covered_logit=0.0,
    )
    inside = np.abs(new_errors) <= calibration.interval(combined(new_measures))
    assert inside.mean() == pytest.approx(0.9, abs=0.015)
    again = Calibration.from_json(calibration.to_json())
    np.testing.assert_allclose(again.interval(combined(new_measures)), calibration.interval(combined(new_measures)))


def test_the_mixture_finds_the_measure_that_tells() -> None:
    errors, measures = world(0)
    mixture, _ = mixture_of_uncertainty(errors, measures)
    assert (mixture[0] > 0.6).all()
    assert (mixture[1:] < 0.2).all()
    assert (mixture >= 0).all()


def test_confidence_in_absolute_numbers_is_about_their_motion() -> None:
    labels = []
    for seed, offset in enumerate((-3.0, 2.0, 4.0, -1.0)):
        errors, measures = world(seed, count=400)
        part = combined(measures)
        # Both numbers are off by one amount for the whole clip; their own errors come on top.
        labels.append((replace(part, action=offset + 0.1 * errors), np.zeros((400, 2)), np.ones(400, bool)))
    other = Uncertainty.fitted(
        np.concatenate([part.action for part, _, _ in labels]),
        [np.concatenate([getattr(part, name) for part, _, _ in labels]) for name in MEASURES],
    )
    uncertainty = motion_uncertainty(labels, np.array([True, False]), steps=1, other=other)
    assert uncertainty.mixture[0, 0] > 0.04
    assert uncertainty.floor[0] < 0.2
    assert uncertainty.floor[1] == other.floor[1] > 1.0


def test_the_least_sure_have_the_larger_errors() -> None:
    errors, measures = world(0)
    assert ratio_of_least_sure(np.abs(errors[:, 0]), measures[0][:, 0]) > 1.7
    assert ratio_of_least_sure(np.abs(errors[:, 0]), measures[1][:, 0]) == pytest.approx(1.0, abs=0.2)


def test_confidence_is_a_half_at_the_median_and_falls_with_uncertainty_and_strangeness() -> None:
    steps = np.array([[1.0, 1.0], [3.0, 3.0], [1.0, 1.0]])
    zero = np.zeros_like(steps)
    calibration = Calibration(
        combination=Calibration.none(steps=1, size=2, groups=1).combination,
        error=Uncertainty(np.zeros((3, 2)), np.ones(2)),
        motion=Uncertainty(np.array([[1.0, 1.0], [0, 0], [0, 0]]), np.zeros(2)),
        factor=np.ones(2),
        unit=np.ones(2),
        typical=np.ones(1),
        familiar=(1.0, 2.0),
        covered_logit=0.0,
    )
    sure = calibration.confidence(combined([steps, zero, zero]), [(0, 1)], np.array([0.5, 0.5, 2.0]))
    np.testing.assert_allclose(sure[:, 0], [0.5, 0.25, 0.125])


def test_too_few_held_out_steps_are_refused() -> None:
    with pytest.raises(SchemaError, match="at least 20"):
        conformal_factor(np.zeros((5, 1)), np.ones((5, 1)))


def test_distances_tell_strange_features_from_familiar_ones() -> None:
    random = np.random.default_rng(0)
    mixing = random.normal(size=(16, 16))
    train = random.normal(size=(2000, 16)) @ mixing
    familiar = Familiarity.of(train)
    usual = familiar.distance(random.normal(size=(200, 16)) @ mixing)
    strange = familiar.distance(random.normal(size=(200, 16)) * 3)
    assert np.median(usual) == pytest.approx(1.0, abs=0.15)
    assert auroc(usual, strange) > 0.95


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.5
    assert auroc(np.array([0.0, 0.0]), np.array([1.0])) == 1.0
