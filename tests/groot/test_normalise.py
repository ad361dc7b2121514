"""Normalisation: inverse, range, constants, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groot.normalise import Normaliser, joined
from storage.errors import SchemaError, UnknownNameError
from storage.statistics import summarise

METHODS = ("min_max", "mean_std", "quantile")


@given(arrays(np.float64, (12, 3), elements=st.floats(-1e3, 1e3)), st.sampled_from(METHODS))
@settings(max_examples=60, deadline=None)
def test_the_inverse_is_exact(rows: np.ndarray, method: str) -> None:
    normaliser = Normaliser.fitted(rows, method)  # type: ignore[arg-type]
    np.testing.assert_allclose(normaliser.invert(normaliser.apply(rows)), rows, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_statistics_of_a_shard_and_the_rows_themselves_agree(method: str) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    statistics = summarise(rows)
    assert statistics is not None
    a, b = Normaliser.of(statistics, method), Normaliser.fitted(rows, method)  # type: ignore[arg-type]
    np.testing.assert_allclose(a.scale, b.scale, rtol=0.03)
    np.testing.assert_allclose(a.offset, b.offset, atol=0.05)


def test_extremes_go_to_one_and_deviation_to_one() -> None:
    rows = np.random.default_rng(0).uniform(3, 9, size=(1000, 2))
    values = Normaliser.fitted(rows, "min_max").apply(rows)
    assert (values.min(), values.max()) == (-1, 1)
    scaled = Normaliser.fitted(rows, "mean_std").apply(rows)
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_dimension_becomes_zero_and_comes_back(method: str) -> None:
    rows = np.full((50, 2), 7.5)
    rows[:, 1] = np.arange(50)
    normaliser = Normaliser.fitted(rows, method)  # type: ignore[arg-type]
    assert not normaliser.apply(rows)[:, 0].any()
    np.testing.assert_allclose(normaliser.invert(np.zeros((1, 2)))[:, 0], 7.5)


def test_a_dimension_that_rarely_moves_keeps_its_range_under_quantiles() -> None:
    rows = np.zeros((1000, 1))
    rows[0] = 4.0
    assert np.abs(Normaliser.fitted(rows, "quantile").apply(rows)).max() <= 1


def test_chunks_are_normalised_step_by_step() -> None:
    chunks = np.random.default_rng(0).normal(size=(100, 5, 2)) * np.arange(1, 6)[:, None]
    normaliser = Normaliser.fitted(chunks, "mean_std")
    assert normaliser.scale.shape == (5, 2)
    np.testing.assert_allclose(normaliser.apply(chunks).std(axis=0), 1, atol=1e-9)


def test_normalisers_survive_json_and_join() -> None:
    part = Normaliser.between(np.array([0.0]), np.array([4.0]))
    whole = joined([(slice(1, 2), part)], 3)
    again = Normaliser.from_json(whole.to_json())
    np.testing.assert_allclose(again.apply(np.array([5.0, 4.0, 5.0])), [5, 1, 5])


def test_nan_and_unknown_methods_are_refused() -> None:
    with pytest.raises(SchemaError, match="without NaN"):
        Normaliser.fitted(np.full((3, 1), np.nan), "min_max")
    with pytest.raises(UnknownNameError, match="min_max"):
        Normaliser.fitted(np.zeros((3, 1)), "minmax")  # type: ignore[arg-type]
