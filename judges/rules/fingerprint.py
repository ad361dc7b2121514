"""Duplicates: a fingerprint of what moves in a clip. Which clips are duplicates of which is decided when a selection is
made (`storage.verdicts.duplicates`), for it is a matter of the whole data set.

Clips of one scene share their background, so the mean over the clip is taken away first: what is hashed is the sign of
the low frequencies of what differs from it, at eight moments (perceptual hash by DCT, over differences in time).
"""

import cv2
import numpy as np

from judges.rules.clip import JudgedClip
from storage.verdicts.duplicates import DUPLICATE, FARTHEST_BITS
from storage.verdicts.verdicts import Verdict

MOMENTS, SIDE_PX, FREQUENCIES = 8, 32, 8


def fingerprint(clip: JudgedClip) -> str:
    """512 bits, hexadecimal."""
    at = np.linspace(0, len(clip) - 1, MOMENTS).round().astype(int)
    planes = [cv2.resize(clip.grey[frame], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for frame in at]
    moving = np.stack(planes) - np.mean(planes, axis=0)
    bits = []
    for plane in moving:
        low = cv2.dct(plane.astype(np.float32))[:FREQUENCIES, :FREQUENCIES].ravel()
        bits.append(low > np.median(low))
    return np.packbits(np.concatenate(bits)).tobytes().hex()


def duplicate(clip: JudgedClip, threshold: float | None = None) -> Verdict:
    """The verdict that carries the fingerprint. It passes: an episode alone is no duplicate."""
    return Verdict(
        judge=DUPLICATE,
        passed=True,
        threshold=FARTHEST_BITS if threshold is None else threshold,
        evidence={"camera": clip.camera, "fingerprint": fingerprint(clip)},
    )
