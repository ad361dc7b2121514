"""Frozen video: the longest run of equal frames, as a share of the clip.

A robot may pause, so what counts is equality up to the codec (a 20th of a grey level on the thumbnail) and not a lack
of motion; and a run, not a share of all frames, for pauses add up.
"""

from judges.rules.clip import Clip, longest_run
from judges.rules.rule import Measured, Rule

STILL = 0.05


def frozen(clip: Clip) -> Measured:
    """Share of the clip that its longest still run takes, 0..1."""
    still = clip.change < STILL
    still[0] = False
    begin, end = longest_run(still)
    share = (end - begin) / max(1, len(clip) - 1)
    reason = f"still from {clip.seconds(max(0, begin - 1))} to {clip.seconds(end - 1)}"
    return Measured(share, reason, {"frames": [max(0, begin - 1), end]})


FROZEN = Rule(name="frozen", measure=frozen, threshold=0.3)
