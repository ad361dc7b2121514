"""Which two moments make a pair: a fixed time apart, in seconds, at any frame rate.

A pair never clamps to the end of a clip (the public LAPA code does, and so learns pairs without motion).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from storage.episode import Episode
from storage.errors import ConfigError

SLOW_RATE_HZ = 10.0


@dataclass(frozen=True, kw_only=True)
class FramePairConfig:
    """The time between the two frames, source by source.

    `by_embodiment` wins; then human video and video below 10 Hz take `slow_s`, everything else `robot_s` (LAPA's
    authors used 0.6 s on Bridge and a longer one on human video; DreamGen 1 s). A rate at which no whole number of
    frames comes within `tolerance` of the window is refused.
    """

    robot_s: float = 0.6
    slow_s: float = 1.0
    by_embodiment: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 0.25

    def __post_init__(self) -> None:
        for name, seconds in {"robot_s": self.robot_s, "slow_s": self.slow_s, **self.by_embodiment}.items():
            if not seconds > 0:
                raise ConfigError(f"the window {name} must be a positive number of seconds; got {seconds}")
        if not 0 < self.tolerance < 1:
            raise ConfigError(f"tolerance is a share of the window between 0 and 1; got {self.tolerance}")

    def seconds_of(self, episode: Episode) -> float:
        """The window for `episode`, in seconds."""
        slow = episode.layer == "human" or episode.rate_hz < SLOW_RATE_HZ
        return self.by_embodiment.get(episode.embodiment, self.slow_s if slow else self.robot_s)


def later_steps(timestamps_s: NDArray[np.float64], window_s: float, *, tolerance: float = 0.25) -> NDArray[np.int64]:
    """For each step the step nearest to `window_s` later, (T,), or -1.

    It is -1 beyond the end of the clip, and where time stamps leave a gap, so that no frame lies within `tolerance`
    of the wanted window.
    """
    wanted = timestamps_s + window_s
    right = np.searchsorted(timestamps_s, wanted).clip(1, max(len(timestamps_s) - 1, 1))
    if len(timestamps_s) < 2:
        return np.full(len(timestamps_s), -1, np.int64)
    nearer_left = wanted - timestamps_s[right - 1] < timestamps_s[right] - wanted
    nearest = np.where(nearer_left, right - 1, right)
    error_s = np.abs(timestamps_s[nearest] - wanted)
    half_step_s = 0.5 * float(np.median(np.diff(timestamps_s)))
    # The last frames of a clip are nearest to every moment beyond it: half a frame is all that rounding may move.
    good = (error_s <= half_step_s * 1.001) & (error_s <= tolerance * window_s) & (nearest > np.arange(len(nearest)))
    return np.where(good, nearest, -1).astype(np.int64)
