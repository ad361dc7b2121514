"""Other looks of a clip that show the same: soft as a video model's, moved by a few pixels, brighter or darker."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
FARTHEST_PX = 6


@dataclass(frozen=True, kw_only=True)
class View:
    """How pictures are changed, all of a clip alike: `gain` and `more` levels of brightness, `right` and `down` pixels;
    with `blur` (pixels) they lose half of their size first."""

    gain: float = 1.0
    more: float = 0.0
    right: int = 0
    down: int = 0
    blur: float = 0.0

    def __call__(self, picture: Pictures) -> Pictures:
        """(H, W, 3) to the same."""
        height, width = picture.shape[:2]
        if self.blur:
            small = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), self.blur)
            picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        if self.right or self.down:
            way = np.array([[1, 0, self.right], [0, 1, self.down]], np.float32)
            picture = cv2.warpAffine(picture, way, (width, height), borderMode=cv2.BORDER_REPLICATE)
        if self.gain != 1.0 or self.more:
            picture = np.clip(picture.astype(np.float32) * self.gain + self.more, 0, 255).astype(np.uint8)
        return picture


PLAIN = View()


def view(rng: np.random.Generator, *, soft: bool, moved: bool) -> View:
    """A random one."""
    blur = float(rng.uniform(0.3, 1.0)) if soft else 0.0
    if not moved:
        return View(blur=blur)
    right, down = (int(each) for each in rng.integers(-FARTHEST_PX, FARTHEST_PX + 1, 2))
    return View(
        blur=blur, right=right, down=down, gain=float(rng.uniform(0.9, 1.1)), more=float(rng.uniform(-8.0, 8.0))
    )
