"""Which steps of a clip carry a latent action, and why the others do not: flags of `storage.labelling.labels`."""

import numpy as np
from numpy.typing import NDArray

from storage.labelling.labels import FLAGS_DTYPE, LabelFlag
from storage.pictures.frame_checks import ClipCheck, pair_flags_of

_BITS = {
    "corrupt": LabelFlag.CORRUPT,
    "dark": LabelFlag.DARK,
    "cut": LabelFlag.CUT,
    "frozen": LabelFlag.FROZEN,
    "camera motion": LabelFlag.CAMERA_MOTION,
}


def pair_flags(check: ClipCheck, later: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Flags (T,) of the pairs (t, later[t]); 0 is a good pair.

    `later` holds -1 where the later moment lies beyond the clip. A cut in between, a corrupt or dark frame at either
    end, a scene that stands still, or a camera that moves while hardly anything else does, spoils a pair.
    """
    flags = np.where(later < 0, FLAGS_DTYPE(LabelFlag.UNLABELLED), FLAGS_DTYPE(0))
    now = np.flatnonzero(later >= 0)
    for name, spoilt in pair_flags_of(check, now, later[now]).items():
        flags[now[spoilt]] |= FLAGS_DTYPE(LabelFlag.UNLABELLED | _BITS[name])
    return flags


def moved_back(later: NDArray[np.int64]) -> NDArray[np.int64]:
    """The step (T,) whose pair a step takes: its own, or for the steps at the end of a clip, whose later moment would
    lie beyond it, that of the last pair, which still covers them. -1 where no pair covers a step."""
    steps = np.arange(len(later))
    taken = np.where(later >= 0, steps, -1)
    pairs = np.flatnonzero(later >= 0)
    if len(pairs) and later[pairs[-1]] == len(later) - 1:
        taken[pairs[-1] + 1 :] = pairs[-1]
    return taken
