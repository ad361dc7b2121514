"""Overlays: text, logos and frames that were drawn over a video and stay where they are while the picture moves.

A pixel belongs to an overlay when it lies on an edge in every frame and does not change, while the pixels of the clip
as a whole do. In a clip whose picture stands still nothing can be told, and nothing is flagged (ours).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """`steady` and `moving`: standard deviations over time in grey levels below which a pixel stands still and above
    which the picture moves. `edge`: the smallest gradient of an overlay's edge, grey levels a pixel. A clip is looked
    at in `looks` frames, and is flagged when overlays cover more than `share` of it."""

    steady: float = 4.0
    moving: float = 12.0
    edge: float = 24.0
    looks: int = 24
    share: float = 0.004

    def __post_init__(self) -> None:
        if not 0 < self.steady < self.moving or self.edge <= 0 or self.looks < 3 or not 0 <= self.share <= 1:
            raise ConfigError(f"expected 0 < steady < moving, edge > 0, looks >= 3 and a share within 0..1; got {self}")


def overlay_share(small: NDArray[np.uint8], config: OverlayConfig) -> float:
    """Share of the picture that edges of overlays cover, from small grey frames (T, h, w); 0 where nothing moves."""
    if len(small) < 3:
        return 0.0
    looks = small[np.unique(np.linspace(0, len(small) - 1, config.looks).astype(int))].astype(np.float32)
    spread = looks.std(axis=0)
    if float(np.median(spread)) < config.moving:
        return 0.0
    gradient = np.stack([_gradient(look) for look in looks]).min(axis=0)
    return float(np.mean((gradient >= config.edge) & (spread <= config.steady)))


def _gradient(image: NDArray[np.float32]) -> NDArray[np.float32]:
    across, down = cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(np.hypot(across, down) / 4, np.float32)
