"""Finders of cuts beside the rules of `judges.curation.cuts`: what one is, and making the one that a config names."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from judges.curation.cut_finders.requirements import transnetv2_weights
from judges.curation.cuts import OURS, PYSCENEDETECT, CutConfig


@dataclass(frozen=True)
class Borders:
    """What a finder says about T frames: `cuts` are the numbers of the frames that begin a shot, `fades` the stretches
    [first, end) in which one shot becomes the next. `fades` None: this finder knows of none, ours looks for them."""

    cuts: NDArray[np.int64]
    fades: tuple[tuple[int, int], ...] | None


class CutFinder(Protocol):
    """Finds borders between shots in small pictures. `size_px` is the (height, width) that it wants to see."""

    size_px: tuple[int, int]

    def __call__(self, images: NDArray[np.uint8], rate_hz: float, /) -> Borders:
        """The borders in `images` (T, H, W, 3), RGB, `rate_hz` a second, without a gap between them; T at least 1."""
        ...


def make_cut_finder(config: CutConfig) -> CutFinder | None:
    """The finder, loaded and ready; None for ours, which looks at what is measured anyway. Raises MissingFileError or
    ConfigError where what it needs is not installed."""
    if config.finder == OURS:
        return None
    if config.finder == PYSCENEDETECT:
        from judges.curation.cut_finders.pyscenedetect import PySceneDetectCuts

        return PySceneDetectCuts()
    from judges.curation.cut_finders.transnetv2 import TransNetCuts

    return TransNetCuts.load(transnetv2_weights(config.model), config.device)
