"""The state of a job in one line for people: how far, how fast, how long still, and what was rejected why."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.progress.in_flight import InFlight
from pipelines.progress.job_counts import Tally


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A job at one moment: its counts, and what is in flight."""

    tally: Tally
    flying: InFlight = field(default_factory=InFlight)

    @property
    def kept(self) -> int:
        return self.tally.kept + self.flying.kept

    @property
    def share(self) -> float:
        """The part of the job that is done, 0..1."""
        tally = self.tally
        if tally.target:
            return min(1.0, self.kept / tally.target)
        ended = tally.planned_units - tally.open_units
        return min(1.0, (ended + self.flying.units) / max(1, tally.planned_units))


def progress_line(moment: Moment, *, kept_per_s: float = 0.0, left_s: float | None = None) -> str:
    """For example: `stack: 96 of 200 kept, 12/40 units, 4.5 kept/min, 6 min left; dropped 12 (12 fell)`."""
    tally = moment.tally
    ended = tally.planned_units - tally.open_units
    parts = [f"{tally.job}: {moment.kept}" + (f" of {tally.target} kept" if tally.target else " kept")]
    parts.append(f"{ended}/{tally.planned_units} units")
    if kept_per_s > 0:
        parts.append(_rate(kept_per_s))
    if left_s is not None and moment.share < 1:
        parts.append(f"{duration(left_s)} left")
    return ", ".join(parts) + losses(tally)


def losses(tally: Tally) -> str:
    """What was dropped, by reason, and how many units were given up; empty when there is nothing."""
    text = f"; dropped {tally.dropped.total()} ({reasons(tally.dropped)})" if tally.dropped else ""
    return text + (f"; gave up {tally.dead_units} units" if tally.dead_units else "")


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
        return f"{per_s:.1f} kept/s"
    return f"{per_s * 60:.1f} kept/min" if per_s * 60 >= 1 else f"{per_s * 3600:.1f} kept/h"
