"""Intervals of the table that says what layers are worth: of seeds, not of roll-outs alone."""

import json
from pathlib import Path

import pytest
from scipy.stats import ttest_ind

from benchmarks.layer_table import Figures, as_markdown, read_rows


def row(*successes: int) -> Figures:
    return Figures(shows="", successes=successes, scenes=50)


def test_an_interval_grows_with_the_difference_between_seeds() -> None:
    alike, apart = row(20, 21, 19), row(2, 38, 20)
    assert alike.success == pytest.approx(apart.success)
    assert apart.interval()[1] - apart.interval()[0] > 5 * (alike.interval()[1] - alike.interval()[0])
    assert alike.interval()[1] == pytest.approx(0.4 + 4.303 * 0.02 / 3**0.5, abs=1e-3)


def test_one_or_two_seeds_have_the_interval_of_their_roll_outs() -> None:
    assert row(25).interval() == pytest.approx((0.366, 0.634), abs=1e-3)
    assert row(13, 13).interval() == pytest.approx((0.184, 0.354), abs=1e-3)
    assert row(13, 13).more_than(row(3, 4, 5)) is None


def test_a_difference_is_welchs() -> None:
    one, other = row(27, 26, 20, 30), row(16, 3, 18)
    gain, low, high = one.more_than(other) or (0, 0, 0)
    expected = ttest_ind(one.rates, other.rates, equal_var=False).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert gain == pytest.approx(one.success - other.success)


def test_rows_are_told_apart_by_name_and_steps(tmp_path: Path) -> None:
    for name, won in (("real-0-20", 1), ("real-1-20", 3), ("real-0-40", 9), ("real-more-0-20", 7)):
        home = tmp_path / name / "roll-outs"
        home.mkdir(parents=True)
        (home / "success.json").write_text(json.dumps({"successes": won, "scenes": 10}))
    rows = read_rows(tmp_path, {"real": "alone", "real-more": "and more", "dreams": "none yet"}, steps=20)
    assert {name: each.successes for name, each in rows.items()} == {"real": (1, 3), "real-more": (7,)}
    assert "real-more: and more | 0.70" in as_markdown(rows)
