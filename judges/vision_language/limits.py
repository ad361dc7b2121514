"""Limits on what a server is asked: requests a minute, and what a job may cost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from storage.errors import ConfigError, WorkFailedError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """0 stands for no limit. `most_cost` is in the unit of `cost_per_million_tokens`; each process counts its own."""

    requests_a_minute: float = 0.0
    most_requests: int = 0
    cost_per_million_tokens: float = 0.0
    most_cost: float = 0.0

    def __post_init__(self) -> None:
        if min(self.requests_a_minute, self.most_requests, self.cost_per_million_tokens, self.most_cost) < 0:
            raise ConfigError(f"limits are 0 (none) or above; got {self}")
        if self.most_cost and not self.cost_per_million_tokens:
            raise ConfigError("most_cost needs cost_per_million_tokens, or it would never be reached")


class Meter:
    """Counts requests and tokens over all threads of a client, and waits where they come too fast."""

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits, self._clock, self._sleep = limits, clock, sleep
        self._lock = threading.Lock()
        self._next_s = 0.0
        self.requests, self.tokens = 0, 0

    @property
    def cost(self) -> float:
        """What was spent so far."""
        return self.tokens * self._limits.cost_per_million_tokens / 1e6

    def before(self) -> None:
        """Wait for the next request's turn; raises WorkFailedError where the limits are reached."""
        with self._lock:
            limits = self._limits
            if limits.most_requests and self.requests >= limits.most_requests:
                raise WorkFailedError(
                    f"the limit of {limits.most_requests} requests is reached; what is left is unjudged"
                )
            if limits.most_cost and self.cost >= limits.most_cost:
                raise WorkFailedError(f"{self.cost:.4g} of {limits.most_cost:g} are spent; what is left is unjudged")
            self.requests += 1
            now_s = self._clock()
            turn_s = max(now_s, self._next_s)
            if limits.requests_a_minute:
                self._next_s = turn_s + 60.0 / limits.requests_a_minute
        if turn_s > now_s:
            self._sleep(turn_s - now_s)

    def after(self, tokens: int) -> None:
        """Take down what a request used."""
        with self._lock:
            self.tokens += tokens
