"""Frames that hold nothing: black, blown out, or of one colour."""

import numpy as np

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule

LEAST_CONTRAST = 4.0
BLACK, WHITE = 12.0, 250.0


def exposure(clip: JudgedClip) -> Measured:
    """Number of frames without content."""
    empty = (clip.contrast < LEAST_CONTRAST) | (clip.light < BLACK) | (clip.light > WHITE)
    frames = np.flatnonzero(empty)
    if not len(frames):
        return Measured(0.0, "")
    light = float(clip.light[frames].mean())
    kind = "black" if light < BLACK else "blown out" if light > WHITE else "of one colour"
    reason = f"{len(frames)} frames are {kind}, the first at {clip.seconds(int(frames[0]))}"
    return Measured(float(len(frames)), reason, {"frames": frames[:16].tolist()})


EXPOSURE = Rule(name="exposure", measure=exposure, threshold=0.0)
