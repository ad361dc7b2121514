"""A floor of motion: measures of consistency reward clips in which nothing happens, so this one goes with them."""

import numpy as np

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule


def motion(clip: JudgedClip) -> Measured:
    """Change between frames in grey levels, of the tenth of the clip that moves most."""
    moved = float(np.quantile(clip.change[1:], 0.9)) if len(clip) > 1 else 0.0
    return Measured(moved, f"hardly anything moves ({moved:.2f} grey levels between frames)")


MOTION = Rule(name="motion", measure=motion, threshold=0.06, better="higher")
