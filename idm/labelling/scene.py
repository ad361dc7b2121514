"""Whether a clip looks like the scenes that a model was trained on, told from thumbnails alone.

The network's own features are made to ignore what does not move the robot, so distances between them miss strangers
that matter: on mirrored clips 1 % of the windows looked unfamiliar, on a second robot in the same scene a third. Two
tests on thumbnails stand beside them (ours): what the main components of the training pictures cannot explain, and
which way round the picture is, by the discriminant between training pictures and their mirror images. It wants a
hundred clips: fitted on 40 it told 9 % of mirrored frames, on 80 all of them.
T frames, P pixels of the thumbnails of all views, K components.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from storage.pictures.frame_checks import ClipCheck

Array = NDArray[Any]
COMPONENTS = 32
_SHRINKAGE = 0.01
_QUANTILE = 0.993
_LEAST_FRAMES = 50
_BLOCK_STEPS = 2048
_MARGIN = 1.1
"""How far beyond what held-out clips show is strange: the arm of a clip may come nearer to the camera than in any of
them (on wide placements 5 % of good steps lay beyond without it, 0.5 % with it)."""


@dataclass(frozen=True, kw_only=True)
class SceneFamiliarity:
    """`mean` (P,) and `components` (K, P) of training thumbnails, `mirror` (P,) the discriminant that is positive for
    them and negative for their mirror images. Held-out clips stay below `most_unexplained` grey levels and above
    `least_upright`, 993 frames of 1,000."""

    mean: Array
    components: Array
    mirror: Array
    most_unexplained: float = float("inf")
    least_upright: float = float("-inf")

    @classmethod
    def fitted(cls, thumbnails: Array, shape: tuple[int, ...]) -> "SceneFamiliarity | None":
        """From training thumbnails (T, P) that are (views, h, w) each; None where they are too few to tell."""
        if len(thumbnails) < _LEAST_FRAMES:
            return None
        count = min(COMPONENTS, len(thumbnails) // 10)
        components = PCA(n_components=count, svd_solver="randomized", random_state=0).fit(thumbnails)
        odd = thumbnails - _mirrored(thumbnails, shape)
        covariance = np.cov(odd.T)
        even = _SHRINKAGE * np.trace(covariance) / len(covariance) + 1e-6
        mirror = np.linalg.solve(covariance + even * np.eye(len(covariance)), odd.mean(axis=0))
        return cls(
            mean=components.mean_, components=components.components_, mirror=mirror - _mirrored(mirror[None], shape)[0]
        )

    def calibrated(self, thumbnails: Array) -> "SceneFamiliarity":
        """With limits from held-out thumbnails (T, P)."""
        unexplained, upright = self._unexplained(thumbnails), thumbnails @ self.mirror
        return SceneFamiliarity(
            mean=self.mean,
            components=self.components,
            mirror=self.mirror,
            most_unexplained=float(np.quantile(unexplained, _QUANTILE)),
            # Where left and right look alike, held-out pictures lie around 0, and the test says nothing.
            least_upright=min(float(np.quantile(upright, 1 - _QUANTILE)), 0.0),
        )

    def strangeness(self, thumbnails: Array) -> Array:
        """How far beyond what held-out clips show each frame (T,) lies: above 1 is unfamiliar."""
        unexplained = self._unexplained(thumbnails) / (_MARGIN * self.most_unexplained)
        wrong_way = thumbnails @ self.mirror < self.least_upright
        strange: Array = np.where(wrong_way, np.maximum(unexplained, 2.0), unexplained)
        return strange

    def _unexplained(self, thumbnails: Array) -> Array:
        """Mean grey levels (T,) that the components leave. Block by block: thumbnails of a long clip are large."""
        left = np.empty(len(thumbnails))
        for begin in range(0, len(thumbnails), _BLOCK_STEPS):
            rows = slice(begin, begin + _BLOCK_STEPS)
            centred = thumbnails[rows] - self.mean
            left[rows] = np.abs(centred - (centred @ self.components.T) @ self.components).mean(axis=1)
        return left

    def arrays(self) -> dict[str, Array]:
        """What is saved beside the weights."""
        limits = np.array([self.most_unexplained, self.least_upright])
        return {"mean": self.mean, "components": self.components, "mirror": self.mirror, "limits": limits}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> "SceneFamiliarity":
        """The inverse of `arrays`."""
        most, least = (float(limit) for limit in arrays["limits"])
        return cls(
            **{name: np.asarray(arrays[name], np.float64) for name in ("mean", "components", "mirror")},
            most_unexplained=most,
            least_upright=least,
        )


def thumbnails_of(checks: Sequence[ClipCheck]) -> tuple[Array, tuple[int, ...]]:
    """Thumbnails (T, P) of all views of a clip, and the shape (views, h, w) of one."""
    views = np.stack([check.thumbnails() for check in checks], axis=1)
    return views.reshape(len(views), -1).astype(np.float64), views.shape[1:]


def _mirrored(thumbnails: Array, shape: tuple[int, ...]) -> Array:
    turned: Array = thumbnails.reshape(-1, *shape)[..., ::-1].reshape(len(thumbnails), -1)
    return turned
