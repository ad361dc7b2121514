import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.datasets.merged_statistics import merged_statistics, write_merged_statistics
from storage.errors import CorruptFileError, SchemaError
from storage.statistics import Statistics, merge, summarise
from storage.testing import tiny_dataset

parts_of_data = st.lists(st.integers(1, 400), min_size=1, max_size=6)


def some_data(sizes: list[int], seed: int) -> list[np.ndarray]:
    """Parts that lie at different places and are skewed, as shards of different tasks are."""
    random = np.random.default_rng(seed)
    return [
        (random.normal(scale=3) + random.exponential(size=(size, 3)) * [1, 100, 0.01]).astype(np.float32)
        for size in sizes
    ]


def summary_of(rows: np.ndarray) -> Statistics:
    found = summarise(rows)
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(sizes=parts_of_data, seed=st.integers(0, 10**6))
def test_merged_statistics_are_those_of_everything_together(sizes: list[int], seed: int) -> None:
    parts = some_data(sizes, seed)
    merged, whole = merge([summary_of(part) for part in parts]), np.concatenate(parts).astype(np.float64)
    assert merged.count == len(whole)
    np.testing.assert_allclose(merged.mean, whole.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(merged.std, whole.std(axis=0), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(merged.min, whole.min(axis=0))
    np.testing.assert_array_equal(merged.max, whole.max(axis=0))


@settings(max_examples=60, deadline=None)
@given(sizes=parts_of_data, seed=st.integers(0, 10**6), rank=st.sampled_from([0.01, 0.1, 0.5, 0.9, 0.99]))
def test_merged_quantiles_have_nearly_the_rank_they_claim(sizes: list[int], seed: int, rank: float) -> None:
    parts = some_data(sizes, seed)
    merged, whole = merge([summary_of(part) for part in parts]), np.concatenate(parts)
    values = merged.quantile(rank)
    # What the module promises, and the one or two steps of each part by which ranks of so few steps can differ.
    error = 0.125 * min(rank, 1 - rank) + 0.0006 + 2 * len(parts) / len(whole)
    below, not_above = (whole < values - 1e-6).mean(axis=0), (whole <= values + 1e-4 * np.abs(values)).mean(axis=0)
    assert (below <= rank + error).all()
    assert (not_above >= rank - error).all()


def test_the_quantiles_of_one_part_are_those_of_numpy() -> None:
    (rows,) = some_data([5000], 1)
    found = summary_of(rows)
    for rank in (0.01, 0.5, 0.99):
        np.testing.assert_allclose(found.quantile(rank), np.quantile(rows, rank, axis=0), rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(sizes=parts_of_data, seed=st.integers(0, 10**6))
@example(sizes=[1, 163, 109, 144], seed=160)
def test_the_order_of_parts_does_not_matter(sizes: list[int], seed: int) -> None:
    parts = [summary_of(part) for part in some_data(sizes, seed)]
    one, other = merge(parts), merge(parts[::-1])
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(one.summary, other.summary, rtol=1e-4, atol=1e-5)


def test_constant_dimensions_are_marked() -> None:
    rows = np.tile(np.array([1.5, 0.0], dtype=np.float32), (9, 1))
    rows[:, 1] += np.arange(9)
    assert summary_of(rows).constant.tolist() == [True, False]


def test_steps_that_are_invalid_or_not_finite_do_not_count() -> None:
    rows = np.arange(10, dtype=np.float32)[:, None].copy()
    rows[3] = np.nan
    found = summarise(rows, np.arange(10) < 5)
    assert found is not None
    assert (found.count, found.max.item()) == (4, 4.0)
    assert summarise(rows, np.zeros(10, dtype=bool)) is None


def test_statistics_survive_json() -> None:
    found = summary_of(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    again = Statistics.from_json(json.loads(json.dumps(found.to_json())))
    assert all(np.array_equal(getattr(again, name), getattr(found, name)) for name in found.__dataclass_fields__)


def test_a_damaged_record_is_told() -> None:
    with pytest.raises(CorruptFileError, match="statistics lack"):
        Statistics.from_json({"count": 3})


def test_statistics_of_different_widths_do_not_merge() -> None:
    with pytest.raises(SchemaError, match=r"widths \[1, 2\]"):
        merge([summary_of(np.ones((3, 1), dtype=np.float32)), summary_of(np.ones((3, 2), dtype=np.float32))])


def test_a_data_set_has_the_statistics_of_all_its_episodes(tmp_path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=3)
    state = np.concatenate([episode.arrays["state"] for episode in dataset.episodes()])
    found = merged_statistics(dataset)["panda"]
    assert found.keys() == {"state", "action/ground_truth"}
    np.testing.assert_allclose(found["state"].mean, state.mean(axis=0), rtol=1e-5)
    written = json.loads(write_merged_statistics(dataset).read_text())
    np.testing.assert_allclose(written["panda"]["state"]["max"], state.max(axis=0))
