"""The table of `layer_worth`: what policies of one mixture reach, and how much more that is than real data alone.

What a fit's seed is worth is far more than what the choice of scenes is: with ten demonstrations one seed lifts 3 cubes
of 50 and the next 18. So intervals are of the mean over seeds (Student's t), and differences of two rows are Welch's.
One or two seeds have the interval of their roll-outs (Wilson), which says nothing of other seeds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, t

REAL, SUCCESS = "real", "success.json"
ENOUGH_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one row: successes of each seed, and roll-outs of a seed."""

    shows: str
    successes: tuple[int, ...]
    scenes: int

    @property
    def rates(self) -> list[float]:
        return [count / self.scenes for count in self.successes]

    @property
    def success(self) -> float:
        return float(np.mean(self.rates))

    def interval(self) -> tuple[float, float]:
        """95 %, of the mean over seeds; of all roll-outs where there are one or two."""
        if len(self.successes) < ENOUGH_SEEDS:
            tries = self.scenes * len(self.successes)
            ends = binomtest(sum(self.successes), tries).proportion_ci(method="wilson")
            return float(ends.low), float(ends.high)
        reach = float(t.ppf(0.975, len(self.rates) - 1)) * _error(self.rates)
        return max(self.success - reach, 0.0), min(self.success + reach, 1.0)

    def more_than(self, other: "Figures") -> tuple[float, float, float] | None:
        """How much higher its mean is than that of `other`, and the 95 % interval of that; None with fewer
        than three seeds of either."""
        if min(len(self.rates), len(other.rates)) < ENOUGH_SEEDS:
            return None
        errors = [_error(each.rates) ** 2 for each in (self, other)]
        freedom = [len(each.rates) - 1 for each in (self, other)]
        gain = self.success - other.success
        if not sum(errors):
            return gain, gain, gain
        degrees = sum(errors) ** 2 / sum(error**2 / free for error, free in zip(errors, freedom, strict=True))
        reach = float(t.ppf(0.975, degrees)) * float(np.sqrt(sum(errors)))
        return gain, gain - reach, gain + reach


def _error(rates: Sequence[float]) -> float:
    """The standard error of a mean over seeds."""
    return float(np.std(rates, ddof=1) / np.sqrt(len(rates)))


def roll_outs(folder: Path, name: str, *, steps: int) -> list[Path]:
    """Folders of the finished roll-outs of a row, one for each seed."""
    files = sorted(folder.glob(f"{name}-[0-9]*-{steps}/roll-outs/{SUCCESS}"))
    return [path.parent for path in files if path.parts[-3].rsplit("-", 2)[0] == name]


def read_rows(folder: Path, shows: Mapping[str, str], *, steps: int) -> dict[str, Figures]:
    """The rows of which there are roll-outs of policies after so many steps, in the order of `shows`."""
    rows: dict[str, Figures] = {}
    for name, what in shows.items():
        read = [json.loads((home / SUCCESS).read_text()) for home in roll_outs(folder, name, steps=steps)]
        if read:
            (scenes,) = {each["scenes"] for each in read}
            rows[name] = Figures(shows=what, successes=tuple(each["successes"] for each in read), scenes=scenes)
    return rows


def as_markdown(rows: Mapping[str, Figures]) -> str:
    """The table for RESULTS and the README."""
    lines = [
        "| training data | success | 95 % interval | over real alone, points | seeds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        low, high = row.interval()
        more = row.more_than(rows[REAL]) if REAL in rows and name != REAL else None
        points = "" if more is None else f"{100 * more[0]:+.0f} ({100 * more[1]:+.0f} to {100 * more[2]:+.0f})"
        seeds = ", ".join(f"{rate:.2f}" for rate in row.rates)
        lines.append(f"| {name}: {row.shows} | {row.success:.2f} | {low:.2f} to {high:.2f} | {points} | {seeds} |")
    return "\n".join(lines)


def draw(rows: Mapping[str, Figures], path: Path, *, title: str) -> None:
    """One bar a row with its interval, a dot a seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.55 * len(rows)))
    for place, row in enumerate(rows.values()):
        low, high = row.interval()
        spread = [[row.success - low], [high - row.success]]
        axes.barh(place, row.success, xerr=spread, color="#4a7fb5", capsize=4, height=0.6)
        axes.plot(row.rates, [place] * len(row.rates), "o", color="black", markersize=4)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("success in scenes that no training saw")
    axes.set_title(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
