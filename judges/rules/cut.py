"""Cuts and torn frames: one change between frames that stands out from every change around it."""

import numpy as np

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule

REACH = 4
LEAST_JUMP = 6.0
"""Grey levels; below it a change is motion, however sudden."""


def cut(clip: JudgedClip) -> Measured:
    """The largest ratio of a change of LEAST_JUMP or more to the largest other change within REACH frames.

    Steps into and out of empty frames are the business of the rule `exposure`, the first step that of `first_frame`.
    """
    change, best, at = clip.change, 0.0, 0
    full = clip.contrast >= 4.0
    for frame in np.flatnonzero(change >= LEAST_JUMP):
        if frame < 2 or not (full[frame] and full[frame - 1]):
            continue
        around = np.concatenate([change[max(1, frame - REACH) : frame], change[frame + 1 : frame + 1 + REACH]])
        ratio = float(change[frame] / max(float(around.max(initial=0.0)), 1.0))
        if ratio > best:
            best, at = ratio, int(frame)
    return Measured(best, f"a jump at {clip.seconds(at)}", {"frames": [at - 1, at]} if best else {})


CUT = Rule(name="cut", measure=cut, threshold=3.0)
