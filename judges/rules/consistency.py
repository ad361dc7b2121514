"""Consistency from frame to frame, by optical flow: warping error, and shake of the camera."""

import numpy as np

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule


def warp(clip: JudgedClip) -> Measured:
    """What is left after warping, in grey levels: the 95th percentile over the steps whose motion is small."""
    flow = clip.flow
    if not flow.near.any():
        return Measured(0.0, "", {"steps_left_out": len(flow.near)})
    score = float(np.quantile(flow.residual[flow.near], 0.95))
    worst = int(np.where(flow.near, flow.residual, 0.0).argmax())
    reason = f"frames do not follow from one another by motion, worst at {clip.seconds(worst)}"
    return Measured(score, reason, {"frames": [worst, worst + 1], "steps_left_out": int((~flow.near).sum())})


def jitter(clip: JudgedClip) -> Measured:
    """Shake of the whole picture: median change of its shift from step to step, in percent of its width."""
    shift = clip.flow.shift
    if len(shift) < 3:
        return Measured(0.0, "")
    score = 100 * float(np.median(np.linalg.norm(np.diff(shift, axis=0), axis=1))) / clip.grey.shape[2]
    return Measured(score, f"the picture shakes by {score:.1f} % of its width in every step")


WARP = Rule(name="warp", measure=warp, threshold=14.0)
JITTER = Rule(name="jitter", measure=jitter, threshold=1.0)
