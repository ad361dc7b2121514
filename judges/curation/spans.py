"""From measures to shots: a segment of video parted at gaps, cuts and fades, with black and still stretches taken out.

Nothing is thrown away here: every step is in exactly one span, and a span says what it is and by which number.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from judges.curation.cuts import CutConfig, changes, fades, hard_cuts
from judges.curation.frame_measures import Measures
from storage.errors import ConfigError

SpanKind = Literal["shot", "black", "still", "fade"]


@dataclass(frozen=True, kw_only=True)
class SpanConfig:
    """`black_level`: a frame is black when its brightest thumbnail pixel is no brighter (grey levels). `still_level`:
    a frame is still when no thumbnail pixel is more than that away half a second later. Black and still stretches are
    taken out when they last `black_s` and `still_s` seconds."""

    cuts: CutConfig = field(default_factory=CutConfig)
    black_level: float = 16.0
    black_s: float = 0.2
    still_level: float = 3.0
    still_s: float = 2.0

    def __post_init__(self) -> None:
        if min(self.black_level, self.still_level, self.black_s, self.still_s) < 0:
            raise ConfigError(f"levels and seconds of spans are 0 or more; got {self}")


@dataclass(frozen=True)
class Span:
    """Steps [first, end) of a segment. `begins_with` says why it begins there: "start", "gap", "cut", "fade", ..."""

    first: int
    end: int
    kind: SpanKind
    begins_with: str

    def __len__(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class Flags:
    """Of T steps, all bool: `black`, `still`; `cut` at the first frame of a shot."""

    black: NDArray[np.bool_]
    still: NDArray[np.bool_]
    cut: NDArray[np.bool_]


def frame_flags(measures: Measures, rate_hz: float, config: SpanConfig) -> Flags:
    """What the single frames are; a border between pieces is no cut."""
    black = measures.thumbnails.max(axis=(1, 2, 3)) <= config.black_level
    cut = np.zeros(len(measures), bool)
    still = np.zeros(len(measures), bool)
    for first, end in _pieces(measures):
        inside = measures.thumbnails[first:end]
        if measures.cut is None:
            cut[first + hard_cuts(_fresh_changes(inside, measures.fresh[first:end]), config.cuts)] = True
        still[first:end] = _still(inside, max(1, round(rate_hz / 2)), config.still_level)
    if measures.cut is not None:
        cut = measures.cut
    # The steps into and out of black are borders of the black stretch already.
    beside = black | np.r_[False, black[:-1]]
    return Flags(black=black, still=still & ~black, cut=cut & ~beside)


def _fresh_changes(thumbnails: NDArray[np.float32], fresh: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Changes between neighbours; a repeated frame takes the change of the frame that it repeats' successor: none."""
    return changes(thumbnails) if fresh.all() else _spread(thumbnails, fresh)


def _spread(thumbnails: NDArray[np.float32], fresh: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Changes of the fresh frames among themselves, so that repeats do not make every other change look like a cut."""
    places = np.flatnonzero(fresh | (np.arange(len(fresh)) == 0))
    values = changes(thumbnails[places])
    # Each repeat carries the change that led to its frame: neighbours of a cut stay comparable.
    filled = values[np.searchsorted(places, np.arange(len(fresh)), side="right") - 1].copy()
    jumps = np.flatnonzero(~fresh)
    filled[jumps] = np.minimum(filled[jumps], float(np.median(values)))
    return np.asarray(filled, np.float32)


def _still(thumbnails: NDArray[np.float32], lag: int, level: float) -> NDArray[np.bool_]:
    """Whether no pixel is more than `level` away `lag` steps later; a step is still when any such stretch holds it."""
    still = np.zeros(len(thumbnails), bool)
    if len(thumbnails) <= lag:
        return still
    calm = np.abs(thumbnails[lag:] - thumbnails[:-lag]).max(axis=(1, 2, 3)) <= level
    count = np.concatenate([[0], np.cumsum(calm)])
    place = np.arange(len(thumbnails))
    low, high = np.clip(place - lag, 0, len(calm)), np.clip(place + 1, 0, len(calm))
    still[:] = count[high] - count[low] > 0
    return still


def find_spans(measures: Measures, flags: Flags, rate_hz: float, config: SpanConfig) -> list[Span]:
    """The spans of a segment, in order, together all of its steps."""
    kinds = np.zeros(len(measures), np.int64)
    kinds[_runs_of(flags.still, round(config.still_s * rate_hz))] = 2
    kinds[_runs_of(flags.black, round(config.black_s * rate_hz))] = 1
    begins = {first: "gap" for first, _ in _pieces(measures)}
    kinds[_fading(measures, rate_hz, config) & (kinds == 0)] = 3
    begins |= {int(step): "cut" for step in np.flatnonzero(flags.cut) if kinds[step] != 3}
    begins[0] = "start"
    names: tuple[SpanKind, ...] = ("shot", "black", "still", "fade")
    for step in np.flatnonzero(np.diff(kinds)) + 1:
        begins.setdefault(int(step), names[int(kinds[step - 1])] if kinds[step] == 0 else names[int(kinds[step])])
    starts = sorted(begins)
    ends = [*starts[1:], len(measures)]
    return [Span(a, b, names[int(kinds[a])], begins[a]) for a, b in zip(starts, ends, strict=True)]


def _fading(measures: Measures, rate_hz: float, config: SpanConfig) -> NDArray[np.bool_]:
    """Where one shot fades into another, (T,)."""
    if measures.fade is not None:
        return measures.fade
    fading = np.zeros(len(measures), bool)
    for first, end in _pieces(measures):
        for a, b in fades(measures.thumbnails[first:end], rate_hz, config.cuts):
            fading[first + a : first + b] = True
    return fading


def _pieces(measures: Measures) -> list[tuple[int, int]]:
    starts = [0, *(np.flatnonzero(np.diff(measures.piece)) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(measures)], strict=True))


def _runs_of(flags: NDArray[np.bool_], at_least: int) -> NDArray[np.bool_]:
    """`flags`, without runs shorter than `at_least`."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    kept = np.zeros(len(flags), bool)
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        if end - first >= max(1, at_least):
            kept[first:end] = True
    return kept
