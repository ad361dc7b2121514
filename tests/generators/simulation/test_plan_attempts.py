from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from generators.simulation.plan_attempts import next_attempts, wilson_interval
from generators.simulation.yield_watch import check_yield
from storage.errors import ConfigError, WorkFailedError


@dataclass
class RoundCounts:
    target: int
    kept: int = 0
    items: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


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


def test_a_round_is_not_planned_when_success_is_rarer_than_asked_for():
    hopeless = RoundCounts(target=3, items=8, dropped={"dead-lock": 70, "out of time": 3})
    with pytest.raises(WorkFailedError, match=r"0 of 73 attempts.*70 x dead-lock; 3 x out of time"):
        next_attempts(hopeless, {})
    (item, *_) = next_attempts(hopeless, {"least_rate": 0.01})
    assert item["least_rate"] == 0.01


def test_a_job_goes_on_while_the_interval_reaches_the_least_rate():
    check_yield("stack", kept=0, dropped={"dead-lock": 72})
    check_yield("stack", kept=0, dropped={"dead-lock": 10_000}, least_rate=0.0)
    check_yield("stack", kept=8, dropped={"dead-lock": 92})


@pytest.mark.parametrize(("successes", "attempts"), [(0, 10), (10, 10), (5, 10), (0, 0)])
def test_an_interval_holds_its_rate_and_stays_within_0_and_1(successes, attempts):
    low, high = wilson_interval(successes, attempts)
    rate = successes / attempts if attempts else 0.5
    assert 0.0 <= low <= rate <= high + 1e-12 <= 1.0 + 1e-12
