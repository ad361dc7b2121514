"""Progress of a run, for people: units done, rate, time left, rejects by reason."""

import sys
import threading
import time
from collections.abc import Mapping
from typing import Protocol, Self, TextIO

from pipelines.job_counts import Tally


class Progress(Protocol):
    """What a run tells about itself. `changed` comes after every unit, from the thread of the run."""

    def begin(self, tally: Tally) -> None: ...
    def changed(self, tally: Tally) -> None: ...
    def end(self, tally: Tally) -> None: ...


class Silent:
    """Progress that nobody wants to see."""

    def begin(self, tally: Tally) -> None: ...
    def changed(self, tally: Tally) -> None: ...
    def end(self, tally: Tally) -> None: ...


class ProgressLines:
    """One line on `stream`: redrawn in place on a terminal, elsewhere a plain new line every `every_s` seconds."""

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._every_s = 0.5 if self._on_terminal else every_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._clock: Clock | None = None
        self._width = 0

    @property
    def _on_terminal(self) -> bool:
        return self._stream.isatty()

    def begin(self, tally: Tally) -> None:
        self._clock = Clock(tally)
        self._stop.clear()
        self._thread = threading.Thread(target=self._tick, args=(tally,), daemon=True, name="progress")
        self._thread.start()

    def changed(self, tally: Tally) -> None:
        """Nothing: the line is drawn by the clock."""

    def end(self, tally: Tally) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._draw(tally, last=True)

    def _tick(self, tally: Tally) -> None:
        while not self._stop.wait(self._every_s):
            self._draw(tally, last=False)

    def _draw(self, tally: Tally, *, last: bool) -> None:
        text = self._clock.line(tally) if self._clock else ""
        if self._on_terminal:
            self._stream.write("\r" + text.ljust(self._width) + ("\n" if last else ""))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


class Clock:
    """Rate and time left, from the moment it is made."""

    def __init__(self, tally: Tally) -> None:
        self._began_s = time.monotonic()
        self._before = tally.planned_units - tally.open_units

    def line(self, tally: Tally) -> str:
        """The state of `tally` in one line."""
        done = tally.planned_units - tally.open_units
        rate = (done - self._before) / max(1e-9, time.monotonic() - self._began_s)
        return progress_line(tally, rate_per_s=rate)

    @classmethod
    def start(cls, tally: Tally) -> Self:
        return cls(tally)


def progress_line(tally: Tally, *, rate_per_s: float) -> str:
    """For example: `stack: 12/40 units, kept 96 of 200 wanted, 4.5 units/min, 6 min left; dropped 12 (12 fell)`."""
    done = tally.planned_units - tally.open_units
    parts = [f"{tally.job}: {done}/{tally.planned_units} units"]
    parts.append(f"kept {tally.kept}" + (f" of {tally.target} wanted" if tally.target else ""))
    if rate_per_s > 0:
        parts.append(_rate(rate_per_s))
        if tally.open_units:
            parts.append(f"{duration(tally.open_units / rate_per_s)} left")
    line = ", ".join(parts)
    if tally.dropped:
        line += f"; dropped {tally.dropped.total()} ({reasons(tally.dropped)})"
    if tally.dead_units:
        line += f"; gave up {tally.dead_units} units"
    return line


def reasons(dropped: Mapping[str, int], *, most: int = 4) -> str:
    """Reasons by number, the most frequent first."""
    ranked = sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{number} {reason}" for reason, number in ranked[:most] if number]
    return ", ".join(shown) + (", ..." if len(ranked) > most else "")


def duration(seconds: float) -> str:
    """Seconds in words: `45 s`, `6 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _rate(per_s: float) -> str:
    if per_s >= 1:
        return f"{per_s:.1f} units/s"
    return f"{per_s * 60:.1f} units/min" if per_s * 60 >= 1 else f"{per_s * 3600:.1f} units/h"
