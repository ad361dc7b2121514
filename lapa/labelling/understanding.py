"""Whether a model understands a video at all: it should rebuild its future from codes and the present frame.

A latent action model reads *some* vector off any two frames. On video unlike its training data the picture that comes
of it stays nearer to the present than to the future, which no video of its own kind does (measured: starter figures in
benchmarks/RESULTS.md). So a few pairs of every clip are rebuilt while it is labelled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapa.labelling.encode_clip import VideoReading

LEAST_PAIRS = 3
MOST_RECONSTRUCTION, MOST_TOWARD_FUTURE = 0.85, 1.25
"""One clip's figures vary more than those of a data set, whose gates are 0.6 and 1."""


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """Over `pairs` sampled good pairs of one clip: `reconstruction` is the squared error over that of copying the
    present frame, `toward_future` the error to the later frame over that to the present one; NaN of too few pairs."""

    pairs: int
    reconstruction: float
    toward_future: float

    @classmethod
    def of(cls, read: VideoReading, flags: NDArray[np.uint16]) -> "Understanding":
        """From the sampled pairs that are good by `flags` (T,)."""
        good = flags[read.sampled] == 0
        if good.sum() < LEAST_PAIRS:
            return cls(pairs=int(good.sum()), reconstruction=float("nan"), toward_future=float("nan"))
        own, present, copy = (float(each[good].sum()) for each in (read.own, read.to_present, read.copy))
        return cls(
            pairs=int(good.sum()),
            reconstruction=own / max(copy, 1e-12),
            toward_future=own / max(present, 1e-12),
        )

    @property
    def failures(self) -> tuple[str, ...]:
        """What speaks against labels of this clip, in words; empty where nothing does or nothing is known."""
        checks = (
            ("reconstruction over copying", self.reconstruction, MOST_RECONSTRUCTION),
            ("error to the future over that to the present", self.toward_future, MOST_TOWARD_FUTURE),
        )
        return tuple(f"{name} {value:.3g}, at most {bar:g} expected" for name, value, bar in checks if value > bar)

    def figures(self) -> dict[str, float]:
        """JSON values; figures that are not known are left out."""
        known = {"reconstruction": self.reconstruction, "toward_future": self.toward_future}
        return {"pairs": float(self.pairs), **{name: round(v, 4) for name, v in known.items() if not np.isnan(v)}}
