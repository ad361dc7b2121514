from dataclasses import dataclass

import numpy as np
import pytest

from generators.simulation.plan_attempts import next_attempts, wilson_interval
from storage.errors import ConfigError


@dataclass
class RoundCounts:
    target: int
    kept: int = 0
    items: int = 0


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_rounds_end_with_exactly_the_target_and_no_attempt_is_made_twice(rate):
    rng = np.random.default_rng(0)
    counts, made = RoundCounts(target=25), []
    while counts.kept < counts.target:
        items = next_attempts(counts, {"tries": 4})
        for item in items:
            for number in range(item["first_attempt"], item["first_attempt"] + item["attempts"]):
                made.append(number)
                if rng.random() < rate:
                    counts.kept += 1
                    break
        counts.items += len(items)
    assert counts.kept == 25
    assert len(set(made)) == len(made)


def test_nothing_is_planned_when_nothing_is_missing():
    assert next_attempts(RoundCounts(target=3, kept=3, items=9), {}) == []


def test_a_wrong_number_of_tries_is_an_error():
    with pytest.raises(ConfigError, match="tries must be a whole number"):
        next_attempts(RoundCounts(target=3), {"tries": 0})


def test_the_interval_of_81_of_263_is_the_one_in_newcombe_1998():
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("successes", "attempts"), [(0, 10), (10, 10), (5, 10), (0, 0)])
def test_an_interval_holds_its_rate_and_stays_within_0_and_1(successes, attempts):
    low, high = wilson_interval(successes, attempts)
    rate = successes / attempts if attempts else 0.5
    assert 0.0 <= low <= rate <= high + 1e-12 <= 1.0 + 1e-12
