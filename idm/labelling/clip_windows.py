"""Which pairs of frames of a clip are windows: resolved in seconds against the clip's own time stamps.

A clip's rate may differ from the training data's and may vary. The later frame is the one whose time stamp is nearest
to where it should be; the chunk then spans the time that really lies between the two frames. Pairs that lie too far
from where they should be are no windows, and steps that no window covers get no label.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError

_TOLERANCE = 0.35
"""How far, as a share of the interval between the frames, a pair may be from the interval that was trained on."""


@dataclass(frozen=True, kw_only=True)
class ClipWindows:
    """Frame numbers `now` and `later` (N,) of the windows, and the step `start` (N,) at which the chunk of each begins.
    `stretch` is the time that lies between a window's frames over the trained interval, the same for all windows."""

    start: NDArray[np.int64]
    now: NDArray[np.int64]
    later: NDArray[np.int64]
    stretch: float

    def __len__(self) -> int:
        return len(self.now)


def clip_windows(timestamps_s: NDArray[np.float64], *, frame_offsets_s: tuple[float, float]) -> ClipWindows:
    """The windows of a clip whose frames were taken at `timestamps_s` (T,), increasing."""
    steps = len(timestamps_s)
    gaps = np.diff(timestamps_s)
    if steps > 1 and not (gaps > 0).all():
        place = int(np.flatnonzero(gaps <= 0)[0])
        raise SchemaError(
            f"time stamps must increase; step {place + 1} comes {-gaps[place]:.4g} s before the step in front of it"
        )
    if steps < 2:
        return ClipWindows(start=_none(), now=_none(), later=_none(), stretch=1.0)
    step_s = float(np.median(gaps))
    first, second = frame_offsets_s
    interval = second - first
    ahead = max(round(interval / step_s), 1)
    stretch = ahead * step_s / interval
    start = np.arange(steps)
    now = _nearest(timestamps_s, timestamps_s + first)
    # Later frames are looked up from the present frame, so that rounding the lead does not change the interval.
    later = _nearest(timestamps_s, timestamps_s[now] + ahead * step_s)
    there = (np.abs(timestamps_s[now] - timestamps_s - first) <= step_s / 2 + 1e-6) & (later > now)
    span = timestamps_s[later] - timestamps_s[now]
    there &= np.abs(span - ahead * step_s) <= 0.45 * step_s
    there &= abs(stretch - 1) <= _TOLERANCE
    return ClipWindows(start=start[there], now=now[there], later=later[there], stretch=stretch)


def _nearest(grid: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the nearest of the increasing `grid` for each of `wanted`."""
    right = np.clip(np.searchsorted(grid, wanted), 1, len(grid) - 1)
    nearer_left = wanted - grid[right - 1] < grid[right] - wanted
    chosen: NDArray[np.int64] = (right - nearer_left).astype(np.int64)
    return chosen


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)
