"""Blur drift: a clip that loses its detail on the way, as video models do over long clips."""

import numpy as np

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule


def blur(clip: JudgedClip) -> Measured:
    """Sharpness (variance of the Laplacian) of the last quarter over that of the first."""
    part = max(1, len(clip) // 4)
    first, last = float(np.median(clip.sharpness[:part])), float(np.median(clip.sharpness[-part:]))
    ratio = last / max(first, 1e-6)
    return Measured(ratio, f"the end has {100 * ratio:.0f} % of the sharpness of the beginning")


BLUR = Rule(name="blur", measure=blur, threshold=0.3, better="higher")
