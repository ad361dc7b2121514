"""Flicker: brightness that goes up and down from frame to frame. Lamps and exposure drift; they do not alternate."""

import numpy as np

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule


def flicker(clip: JudgedClip) -> Measured:
    """Median second difference of the mean brightness over the mean brightness."""
    if len(clip) < 3:
        return Measured(0.0, "")
    swing = float(np.median(np.abs(np.diff(clip.light, 2))) / max(float(clip.light.mean()), 1.0))
    return Measured(swing, f"brightness swings by {100 * swing:.1f} % from frame to frame")


FLICKER = Rule(name="flicker", measure=flicker, threshold=0.02)
