"""How much of a training run's time is spent waiting for batches: a GPU that waits is money that burns."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class LoaderClock:
    """Counts the time inside `waiting` against all time since the last `figures`."""

    def __init__(self) -> None:
        self._waited_s = 0.0
        self.start(0)

    def start(self, step: int) -> None:
        """Begin to count at `step`."""
        self._began_s, self._from_step, self._waited_s = time.perf_counter(), step, 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The loader is asked for a batch inside this block."""
        began_s = time.perf_counter()
        yield
        self._waited_s += time.perf_counter() - began_s

    def figures(self, step: int) -> dict[str, float]:
        """Share of the time that went into waiting, and steps a second, since the last call."""
        passed_s = max(time.perf_counter() - self._began_s, 1e-9)
        rates = {"loader_share": self._waited_s / passed_s, "steps_per_s": (step - self._from_step) / passed_s}
        self.start(step)
        return rates
