"""Parting a shot into action clips: by what was narrated where it was, otherwise where the motion comes to rest.

A narration of a stretch becomes a clip of that stretch; one of a moment reaches halfway to its neighbours. What nobody
narrated is parted at minima of the speed of the hands (or of what moves beside the camera), the way people segment
actions in such videos (VITRA, arXiv 2510.21571, parts at minima of the wrist's speed).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError
from storage.formats.human_video.source_video import END_OF_FILE_S, Narration

TOO_SHORT = "too short"
OVERLAPS = "overlaps another segment"


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Clips last `shortest_s` to `longest_s` seconds. A narrated moment is at most `moment_s` long. With `between` what
    lies between narrations becomes clips without instruction; otherwise it is left out and counted. `smooth_s` is
    the window over which speeds are averaged before their minima are looked for."""

    shortest_s: float = 1.0
    longest_s: float = 12.0
    moment_s: float = 4.0
    between: bool = True
    smooth_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.shortest_s <= self.longest_s / 2 or self.moment_s < self.shortest_s or self.smooth_s < 0:
            raise ConfigError(
                "expected shortest_s above 0 and at most half of longest_s, and moment_s of at least shortest_s; "
                f"got {self.shortest_s}, {self.longest_s} and {self.moment_s}"
            )


@dataclass(frozen=True)
class ActionClip:
    """Steps [first, end) of a segment. `narration` is the text that it comes from; `left_out` says why it is
    no clip."""

    first: int
    end: int
    narration: Narration | None = None
    left_out: str = ""

    def __len__(self) -> int:
        return self.end - self.first


def action_clips(
    first: int,
    end: int,
    *,
    times_s: NDArray[np.float64],
    speed: NDArray[np.float32],
    narrations: Sequence[Narration],
    rate_hz: float,
    config: ClipConfig,
) -> list[ActionClip]:
    """The clips of the shot [first, end), in order, and what of it is left out; together all of its steps.

    `times_s` (T,) are the times of the steps in the source and `speed` (T,) how fast what matters moves.
    """
    clips: list[ActionClip] = []
    at = first
    for start_s, stop_s, narration in _stretches(narrations, config):
        begin = max(first, int(np.searchsorted(times_s, start_s - 0.5 / rate_hz)))
        stop = min(end, int(np.searchsorted(times_s, stop_s - 0.5 / rate_hz)))
        if stop <= begin or begin >= end:
            continue
        if begin < at:
            begin = at
        if stop <= begin:
            clips.append(ActionClip(at, at, narration, OVERLAPS))
            continue
        clips += _unnarrated(at, begin, speed, rate_hz, config)
        clips += _parted(begin, stop, speed, rate_hz, config, narration)
        at = stop
    return clips + _unnarrated(at, end, speed, rate_hz, config)


def _stretches(narrations: Sequence[Narration], config: ClipConfig) -> list[tuple[float, float, Narration]]:
    """(start, stop, narration) in seconds of the source, in order of their starts."""
    ordered = sorted(narrations, key=lambda each: (each.start_s, each.stop_s or each.start_s))
    moments = [each.start_s for each in ordered if each.stop_s is None]
    stretches = []
    for each in ordered:
        if each.stop_s is not None:
            stretches.append((each.start_s, each.stop_s, each))
            continue
        place = moments.index(each.start_s)
        half = config.moment_s / 2
        before = (moments[place - 1] + each.start_s) / 2 if place else 0.0
        after = (moments[place + 1] + each.start_s) / 2 if place + 1 < len(moments) else END_OF_FILE_S
        stretches.append((max(each.start_s - half, before), min(each.start_s + half, after), each))
    return sorted(stretches, key=lambda each: each[0])


def _unnarrated(
    first: int, end: int, speed: NDArray[np.float32], rate_hz: float, config: ClipConfig
) -> list[ActionClip]:
    if not config.between and end > first:
        return [ActionClip(first, end, None, "not narrated")]
    return _parted(first, end, speed, rate_hz, config, None)


def _parted(
    first: int,
    end: int,
    speed: NDArray[np.float32],
    rate_hz: float,
    config: ClipConfig,
    narration: Narration | None,
) -> list[ActionClip]:
    """[first, end) in clips within the bounds, parted where the speed is least."""
    shortest, longest = max(1, round(config.shortest_s * rate_hz)), max(2, round(config.longest_s * rate_hz))
    if end <= first:
        return []
    if end - first < shortest:
        return [ActionClip(first, end, narration, TOO_SHORT)]
    borders = [first]
    calm = _smoothed(speed[first:end], max(1, round(config.smooth_s * rate_hz)))
    while end - borders[-1] > longest:
        at = borders[-1]
        # What is left behind the border must still be long enough for a clip.
        low, high = at + max(shortest, longest // 2), min(at + longest, end - shortest)
        borders.append(low + int(np.argmin(calm[low - first : high - first + 1])))
    return [ActionClip(a, b, narration) for a, b in zip(borders, [*borders[1:], end], strict=True)]


def _smoothed(speed: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    padded = np.pad(speed, (window // 2, window - 1 - window // 2), mode="edge")
    return np.convolve(padded, np.full(window, 1 / window, np.float32), mode="valid").astype(np.float32)
