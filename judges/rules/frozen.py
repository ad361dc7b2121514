"""Frozen video: the longest run of equal frames, as a share of the clip.

A robot may pause, so what counts is equality and not a lack of motion: frames that differ by less than a 60th of a grey
level on the thumbnail. A codec refreshes a frozen picture now and then, which shows as a single small step; such steps
are bridged. And it is a run, not a share of all frames, for pauses add up.
"""

import numpy as np
from numpy.typing import NDArray

from judges.rules.clip import JudgedClip, longest_run
from judges.rules.rule import Measured, Rule

STILL = 0.016
REFRESH = 1.2
"""Grey levels that a single step within a frozen picture may take."""


def frozen(clip: JudgedClip) -> Measured:
    """Share of the clip that its longest still run takes, 0..1."""
    begin, end = longest_run(_bridged(clip.change))
    share = (end - begin) / max(1, len(clip) - 1)
    reason = f"still from {clip.seconds(max(0, begin - 1))} to {clip.seconds(end - 1)}"
    return Measured(share, reason, {"frames": [max(0, begin - 1), end]})


def _bridged(change: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Steps (T,) that change nothing, and single small ones with two such steps before and one behind them."""
    still = change < STILL
    still[0] = False
    between = np.zeros_like(still)
    between[2:-1] = still[:-3] & still[1:-2] & still[3:] & (change[2:-1] < REFRESH)
    bridged: NDArray[np.bool_] = still | between
    return bridged


FROZEN = Rule(name="frozen", measure=frozen, threshold=0.3)
