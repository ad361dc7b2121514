"""How much of what happens between two frames is the camera's own motion, where curation has labelled it.

A latent action of a video from a moving head says where the head turned as readily as what the hands did. The motion of
the background is known by then (`label/motion`, written with the frames), so a latent that says no more than "the head
turned" can be told by it (methods: ours; benchmarks/relabel/latents.py measures how well).
"""

import numpy as np
from numpy.typing import NDArray

from storage.episode import Episode

LEAST_SPEED = 0.03
"""Image widths a second by which the corners move at least before a camera counts as moving."""
HEAD_TURNED = -0.8
"""A pair whose share is above says no more than that the camera moved."""


def camera_share(episode: Episode, later: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log of the camera's speed (image widths a second) over the change beside it (grey levels a step), (T,), averaged
    over the steps from t up to later[t]; -inf where the camera stands still, NaN where nothing is known of it or no
    later step is given (-1)."""
    share = np.full(len(later), np.nan)
    motion, known = episode.arrays.get("label/motion"), episode.arrays.get("label/valid/camera_motion")
    if motion is None or known is None:
        return share
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(np.column_stack([motion * known[:, None], known]), axis=0)])
    now = np.flatnonzero(later > np.arange(len(later)))
    speed, rest, steps = (sums[later[now]] - sums[now]).T
    told = steps >= 0.5 * (later[now] - now)
    mean_speed, mean_rest = speed[told] / steps[told], rest[told] / steps[told]
    share[now[told]] = np.where(mean_speed >= LEAST_SPEED, np.log(mean_speed + 0.01) - np.log(mean_rest + 0.1), -np.inf)
    return share
