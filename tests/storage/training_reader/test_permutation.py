import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.training_reader.permutation import permute


@settings(max_examples=150, deadline=None)
@given(size=st.integers(1, 3000), key=st.integers(0, 2**63))
def test_every_place_goes_somewhere_and_no_two_to_the_same(size: int, key: int) -> None:
    assert sorted(permute(np.arange(size), size=size, key=key).tolist()) == list(range(size))


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 2**40), key=st.integers(0, 2**63), data=st.data())
def test_a_place_goes_where_it_goes_alone_or_with_others(size: int, key: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)))
    together = permute(places, size=size, key=key)
    alone = [permute(places[number : number + 1], size=size, key=key).item() for number in range(len(places))]
    assert together.tolist() == alone
    assert (together < size).all()


def test_different_keys_give_different_orders() -> None:
    orders = {tuple(permute(np.arange(100), size=100, key=key).tolist()) for key in range(200)}
    assert len(orders) == 200


@pytest.mark.parametrize("size", [1000, 10_007])
def test_the_order_looks_random(size: int) -> None:
    """Where places go correlates neither with where they were, nor with where their neighbours go."""
    for key in range(20):
        order = permute(np.arange(size), size=size, key=key)
        assert abs(np.corrcoef(np.arange(size), order)[0, 1]) < 5 / np.sqrt(size)
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 5 / np.sqrt(size)


def test_each_place_is_as_likely_as_another() -> None:
    first = np.array([permute(np.zeros(1, dtype=np.int64), size=10, key=key).item() for key in range(5000)])
    counts = np.bincount(first, minlength=10)
    assert (np.abs(counts - 500) < 6 * np.sqrt(500)).all()
