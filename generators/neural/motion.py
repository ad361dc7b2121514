"""How fast things move in clips: few-step models make motion slower, and labels of slow clips come out too small.

Speed is the mean length of optical flow (DIS, Kroeger et al. 2016) over the pixels that move most, in picture heights a
second, so that clips of different rates and sizes compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOVING_SHARE = 0.05
"""Flow is averaged over the fastest twentieth of the pixels: the rest is background."""
SLOW, FAST = 0.8, 1.25


def speed_heights_s(clip: NDArray[np.uint8], *, rate_hz: float) -> float:
    """Mean speed of what moves in a clip (T, H, W, 3) of `rate_hz`, in picture heights a second."""
    import cv2

    if len(clip) < 2:
        return 0.0
    vision: Any = cv2
    flow = vision.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(_at_least(frame), cv2.COLOR_RGB2GRAY) for frame in clip]
    speeds = []
    for now, later in pairwise(grey):
        length = np.linalg.norm(flow.calc(now, later, None), axis=-1).ravel()
        fastest = max(int(len(length) * MOVING_SHARE), 1)
        speeds.append(float(np.partition(length, -fastest)[-fastest:].mean()))
    return float(np.mean(speeds) * rate_hz / grey[0].shape[0])


def _at_least(frame: NDArray[np.uint8], side_px: int = 64) -> Any:
    """DIS wants pictures of some size."""
    import cv2

    if min(frame.shape[:2]) >= side_px:
        return np.ascontiguousarray(frame)
    scale = side_px / min(frame.shape[:2])
    return cv2.resize(np.ascontiguousarray(frame), None, fx=scale, fy=scale)


@dataclass(frozen=True, kw_only=True)
class SpeedCheck:
    """Speed of generated clips over that of the data they should look like (medians)."""

    generated: float
    reference: float

    @classmethod
    def of(cls, generated: Sequence[float], reference: Sequence[float]) -> "SpeedCheck":
        return cls(generated=float(np.median(generated)), reference=float(np.median(reference)))

    @property
    def ratio(self) -> float:
        return self.generated / self.reference if self.reference > 0 else float("nan")

    @property
    def finding(self) -> str:
        """What is wrong, "" when nothing is."""
        if SLOW <= self.ratio <= FAST:
            return ""
        word = "slower" if self.ratio < SLOW else "faster"
        return (
            f"motion is {word} than in the reference data ({self.ratio:.2f} of its speed): action labels of these clips"
            f" will be too {'small' if word == 'slower' else 'large'}; few-step LoRAs do this, and so do wrong rates"
        )
