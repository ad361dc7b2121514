"""Progress on a stream: a bar on a terminal; elsewhere a line, and only when something changed."""

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipelines.progress.in_flight import in_flight
from pipelines.progress.job_counts import Tally
from pipelines.progress.line import Moment, duration, losses, progress_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Pace:
    """How fast a job goes, from the moment this is made: kept episodes a second, and the seconds that are left."""

    def __init__(self, first: Moment) -> None:
        self._began_s, self._kept, self._share = time.monotonic(), first.kept, first.share

    def of(self, moment: Moment) -> tuple[float, float | None]:
        """Kept a second, and seconds left (None before the first item is done)."""
        passed_s = max(1e-9, time.monotonic() - self._began_s)
        kept_per_s, share_per_s = (moment.kept - self._kept) / passed_s, (moment.share - self._share) / passed_s
        return kept_per_s, (1 - moment.share) / share_per_s if share_per_s > 0 else None


class ProgressDisplay:
    """Shows a run on `stream` (standard error), looking at it every `look_s` seconds; lines come at most every
    `every_s` seconds, the first one with the first item that is done."""

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 10.0, look_s: float = 0.5) -> None:
        self._stream = stream or sys.stderr
        self._every_s, self._look_s = every_s, look_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._view: Bar | Lines | None = None

    def begin(self, tally: Tally) -> None:
        self._view = Bar(self._stream) if self._stream.isatty() else Lines(self._stream, every_s=self._every_s)
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, args=(tally, self._view), daemon=True, name="progress")
        self._thread.start()

    def changed(self, tally: Tally) -> None:
        """Nothing: the thread looks by itself."""

    def end(self, tally: Tally) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._view is not None:
            self._view.close(Moment(tally=tally))

    def said(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        if self._view is not None:
            self._view.said(text)

    def _watch(self, tally: Tally, view: "Bar | Lines") -> None:
        began_s = time.time()
        while not self._stop.wait(self._look_s):
            flying = in_flight(Path(tally.root), since_s=began_s) if tally.root else None
            view.show(Moment(tally=tally, flying=flying) if flying else Moment(tally=tally))


class Lines:
    """A line when something changed since the last one."""

    def __init__(self, stream: TextIO, *, every_s: float) -> None:
        self._stream, self._every_s = stream, every_s
        self._pace: Pace | None = None
        self._last: Any = None
        self._last_s = -every_s

    def show(self, moment: Moment) -> None:
        self._pace = self._pace or Pace(moment)
        state = (moment.kept, round(moment.share, 4), moment.tally.dropped.total(), moment.tally.dead_units)
        begun = moment.share > 0 or moment.tally.dropped or moment.tally.dead_units
        if begun and state != self._last and time.monotonic() - self._last_s >= self._every_s:
            self._last, self._last_s = state, time.monotonic()
            self._write(moment)

    def said(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self, moment: Moment) -> None:
        self._write(moment)

    def _write(self, moment: Moment) -> None:
        kept_per_s, left_s = self._pace.of(moment) if self._pace else (0.0, None)
        self._stream.write(progress_line(moment, kept_per_s=kept_per_s, left_s=left_s) + "\n")
        self._stream.flush()


class Bar:
    """A bar of rich, with the numbers of the line beside it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[told]}"))
        self._bar: RichProgress = Progress(*columns, console=Console(file=stream), expand=True)
        self._task: Any = None
        self._pace: Pace | None = None
        self._furthest = 0.0

    def show(self, moment: Moment) -> None:
        if self._pace is None:
            self._pace = Pace(moment)
            self._task = self._bar.add_task(moment.tally.job, total=1.0, told="")
            self._bar.start()
        # Between the end of a unit and its result it is in nobody's counts for a moment; a bar does not go back.
        self._furthest = max(self._furthest, moment.share)
        self._bar.update(self._task, completed=self._furthest, told=self._told(moment))

    def said(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False)

    def close(self, moment: Moment) -> None:
        self.show(moment)
        self._bar.stop()

    def _told(self, moment: Moment) -> str:
        tally = moment.tally
        kept_per_s, left_s = self._pace.of(moment) if self._pace else (0.0, None)
        kept = f"{moment.kept} of {tally.target} kept" if tally.target else f"{moment.kept} kept"
        pace = f", {60 * kept_per_s:.1f}/min" if kept_per_s > 0 else ""
        left = f", {duration(left_s)} left" if left_s is not None and moment.share < 1 else ""
        return kept + pace + left + losses(tally)
