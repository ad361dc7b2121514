"""Where one shot ends and the next begins: hard cuts and fades, from thumbnails.

A hard cut is a jump between two frames that stands out from the jumps beside it; a pan or a fast hand changes many
frames in a row and does not. A fade changes every pixel in one direction over several frames, where motion goes back
and forth. Both are ours; benchmarks/relabel/cuts.py measures them on spliced real clips.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from judges.curation.cut_finders.requirements import check_pyscenedetect, transnetv2_weights
from storage.errors import ConfigError, UnknownNameError
from storage.ids import file_hash

Thumbnails = NDArray[np.float32]
"""(T, 18, 24, 3), grey levels of 255."""

THUMBNAIL_PX = (18, 24)
OURS, PYSCENEDETECT, TRANSNETV2 = FINDERS = ("ours", "pyscenedetect", "transnetv2")


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """Thresholds in grey levels, on thumbnails.

    A cut jumps by `jump` on average and by `ratio` times every jump within `reach` frames. A fade changes the picture
    by `fade_change` within `fade_s` seconds, `fade_straight` of all change being in one direction.

    `finder` is "ours", to which these thresholds belong, "pyscenedetect" (hard cuts; fades stay ours) or "transnetv2"
    (both), whose weights are in the file or folder `model`, "" being that of the installed package.
    """

    jump: float = 6.0
    ratio: float = 2.5
    reach: int = 2
    fade_change: float = 15.0
    fade_straight: float = 0.9
    fade_s: float = 0.4
    finder: str = OURS
    model: str = field(default="", metadata={"identity": False})
    device: str = field(default="auto", metadata={"identity": False})

    def __post_init__(self) -> None:
        if self.finder not in FINDERS:
            raise UnknownNameError.among("finder of cuts", self.finder, FINDERS)
        if self.model and self.finder != TRANSNETV2:
            raise ConfigError(f"weights of cuts belong to the finder transnetv2; got {self.model!r} for {self.finder}")
        if min(self.jump, self.fade_change, self.fade_s) <= 0 or self.ratio <= 1 or self.reach < 1:
            raise ConfigError(f"expected jump, fade_change, fade_s > 0, ratio > 1 and reach >= 1; got {self}")
        if not 0 < self.fade_straight <= 1:
            raise ConfigError(f"fade_straight is a share within 0..1; got {self.fade_straight}")

    def inputs(self) -> Mapping[str, str]:
        """What the cuts depend on besides this config; raises MissingFileError or ConfigError where it is not there."""
        if self.finder == PYSCENEDETECT:
            check_pyscenedetect()
        return {"cuts": file_hash(transnetv2_weights(self.model))} if self.finder == TRANSNETV2 else {}


def changes(thumbnails: Thumbnails) -> NDArray[np.float32]:
    """Mean change from the frame before, (T,), 0 at the first."""
    step = np.abs(np.diff(thumbnails, axis=0, prepend=thumbnails[:1])).mean(axis=(1, 2, 3))
    return np.asarray(step, np.float32)


def hard_cuts(change: NDArray[np.float32], config: CutConfig) -> NDArray[np.int64]:
    """Numbers of the frames that begin a shot, from the changes (T,) between neighbours."""
    padded = np.pad(change, config.reach)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * config.reach + 1).copy()
    around[:, config.reach] = 0.0
    return np.flatnonzero((change >= config.jump) & (change >= config.ratio * around.max(axis=1)))


def fades(thumbnails: Thumbnails, rate_hz: float, config: CutConfig) -> list[tuple[int, int]]:
    """[first, end) of each stretch in which one picture fades into another."""
    steps = max(2, round(config.fade_s * rate_hz))
    if len(thumbnails) <= steps:
        return []
    moved = np.abs(np.diff(thumbnails, axis=0))
    # Per pixel: what a window changes in sum against what it changes in all.
    total = np.abs(thumbnails[steps:] - thumbnails[:-steps]).mean(axis=(1, 2, 3))
    walked = np.concatenate([np.zeros((1, *moved.shape[1:]), np.float32), np.cumsum(moved, axis=0, dtype=np.float32)])
    path = (walked[steps:] - walked[:-steps]).mean(axis=(1, 2, 3))
    largest = np.lib.stride_tricks.sliding_window_view(moved.mean(axis=(1, 2, 3)), steps).max(axis=1)
    straight = (total >= config.fade_change) & (total >= config.fade_straight * path) & (largest < 0.5 * path)
    stretches: list[tuple[int, int]] = []
    for first in np.flatnonzero(straight).tolist():
        if stretches and first <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], first + steps)
        else:
            stretches.append((first, first + steps))
    return stretches
