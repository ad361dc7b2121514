"""Planning attempts until enough trajectories are kept, and saying how sure a success rate is."""

from collections.abc import Mapping
from typing import Any, Protocol

from storage.errors import ConfigError

TRIES = 10
"""Attempts that one item may make until one is kept."""


class RoundCounts(Protocol):
    """What is known when a round is planned: trajectories wanted and kept, items planned so far, and failed attempts
    by cause."""

    @property
    def target(self) -> int: ...
    @property
    def kept(self) -> int: ...
    @property
    def items(self) -> int: ...
    @property
    def dropped(self) -> Mapping[str, int]: ...


def next_attempts(counts: RoundCounts, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One item for each trajectory that is still missing: try until one is kept, at most `tries` times.

    A round so planned cannot keep too many, and what it missed is planned again, with new attempts: in the end exactly
    the target is kept. `settings` may hold "tries", "task" (for messages) and "least_rate". Raises WorkFailedError when
    success is rarer than that rate (`yield_watch`).
    """
    from generators.simulation.yield_watch import LEAST_RATE, check_yield

    least_rate = settings.get("least_rate", LEAST_RATE)
    check_yield(settings.get("task", ""), kept=counts.kept, dropped=counts.dropped, least_rate=least_rate)
    tries = settings.get("tries", TRIES)
    if not isinstance(tries, int) or tries < 1:
        raise ConfigError(f"tries must be a whole number, 1 or more; got {tries!r}")
    missing = max(counts.target - counts.kept, 0)
    numbers = range(counts.items, counts.items + missing)
    given = {"least_rate": least_rate} if "least_rate" in settings else {}
    return [{"first_attempt": number * tries, "attempts": tries, "keep_at_most": 1, **given} for number in numbers]


def wilson_interval(successes: int, attempts: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927); (0, 1) when nothing was tried."""
    if attempts == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest  # takes half a second to import, and planning does not need it

    interval = binomtest(successes, attempts).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)
