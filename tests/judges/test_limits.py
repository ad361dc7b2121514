"""Limits on requests and cost hold over all threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from judges.vision_language.limits import Limits, Meter
from storage.errors import ConfigError, WorkFailedError


def test_requests_are_spread_over_the_minute() -> None:
    waits: list[float] = []
    meter = Meter(Limits(requests_a_minute=60), clock=lambda: 0.0, sleep=waits.append)
    for _ in range(4):
        meter.before()
    assert waits == [1.0, 2.0, 3.0]


def test_no_more_requests_than_allowed_are_made_by_all_threads_together() -> None:
    meter = Meter(Limits(most_requests=10))

    def ask(_: int) -> bool:
        try:
            meter.before()
        except WorkFailedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(50))) == 10


def test_what_is_spent_ends_the_asking() -> None:
    meter = Meter(Limits(cost_per_million_tokens=2.0, most_cost=1.0))
    meter.before()
    meter.after(600_000)
    with pytest.raises(WorkFailedError, match=r"1\.2 of 1 are spent"):
        meter.before()


@pytest.mark.parametrize("limits", [{"most_cost": 1.0}, {"requests_a_minute": -1.0}])
def test_limits_that_cannot_hold_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Limits(**limits)
