"""Camera motion from the background: the homography between neighbouring frames.

Corners (Shi and Tomasi 1994) are tracked by pyramidal Lucas-Kanade; RANSAC keeps the plane that most of them agree on,
which is the background as long as hands and objects fill less than half of the corners. A rotation of the camera is a
homography exactly; a translation is one as far as the scene is flat or far away (Hartley and Zisserman, chapter 13).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError

Gray = NDArray[np.uint8]
Homography = NDArray[np.float64]
"""(3, 3), points of the earlier frame to points of the later one; lengths in image widths, origin top left."""


@dataclass(frozen=True, kw_only=True)
class CameraMotionConfig:
    """`width_px` is the width that frames are looked at in. `corners` are tracked at most, and `fewest` must agree
    within `tolerance_px` for an estimate to be valid."""

    width_px: int = 160
    corners: int = 80
    fewest: int = 12
    tolerance_px: float = 1.0

    def __post_init__(self) -> None:
        if self.width_px < 32 or self.fewest < 4 or self.corners < self.fewest or self.tolerance_px <= 0:
            raise ConfigError(
                "expected width_px of at least 32, fewest of at least 4, no fewer corners than that and a positive "
                f"tolerance_px; got {self}"
            )


@dataclass(frozen=True)
class CameraStep:
    """`agreement` is the share of tracked corners on the plane, 0 where nothing could be estimated."""

    homography: Homography
    agreement: float
    valid: bool


STILL = CameraStep(np.eye(3), 0.0, False)


def camera_step(earlier: Gray, later: Gray, config: CameraMotionConfig) -> CameraStep:
    """The motion of the background from one grey image (H, W) to the next of the same size."""
    corners = cv2.goodFeaturesToTrack(earlier, config.corners, 0.01, 6, blockSize=3)
    if corners is None or len(corners) < config.fewest:
        return STILL
    # OpenCV takes None for a first guess; its type stubs do not know.
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 0.02)
    track: Any = cv2.calcOpticalFlowPyrLK
    moved, status, _ = track(earlier, later, corners, None, winSize=(11, 11), maxLevel=3, criteria=criteria)
    good = status[:, 0] == 1
    if np.count_nonzero(good) < config.fewest:
        return STILL
    homography, inliers = cv2.findHomography(corners[good], moved[good], cv2.RANSAC, config.tolerance_px, maxIters=300)
    count = 0 if homography is None else int(np.count_nonzero(inliers))
    if homography is None or count < config.fewest or not _sane(homography, earlier.shape):
        return STILL
    return CameraStep(_in_widths(homography, earlier.shape[1]), count / len(corners), True)


def _sane(homography: Homography, shape: tuple[int, ...]) -> bool:
    """Whether the image stays an image: no corner flies away or turns over."""
    moved = corner_shift(_in_widths(homography, shape[1]), shape[0] / shape[1])
    return bool(np.isfinite(moved).all() and np.abs(moved).max() < 0.5)


def _in_widths(homography: Homography, width_px: int) -> Homography:
    scale = np.diag([1 / width_px, 1 / width_px, 1.0])
    scaled = scale @ homography @ np.linalg.inv(scale)
    return np.asarray(scaled / scaled[2, 2], np.float64)


def corner_shift(homography: Homography, aspect: float) -> NDArray[np.float64]:
    """How far the four corners of an image move, (4, 2) in image widths; `aspect` is height over width."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, aspect, 1], [0, aspect, 1]], np.float64)
    mapped = corners @ homography.T
    shift: NDArray[np.float64] = mapped[:, :2] / mapped[:, 2:] - corners[:, :2]
    return shift


def shift_length(homography: Homography, aspect: float) -> float:
    """Mean distance that the corners move, in image widths."""
    return float(np.linalg.norm(corner_shift(homography, aspect), axis=1).mean())


def residual(earlier: Gray, later: Gray, homography: Homography) -> float:
    """Mean change in grey levels that the motion of the camera does not explain, where both frames see the scene.

    Half a pixel of error at an edge is no motion, and neither is the noise of a sensor: a pixel counts by what its
    change exceeds half the local gradient and one grey level (ours).
    """
    height, width = earlier.shape
    scale = np.diag([width, width, 1.0])
    in_pixels = scale @ homography @ np.linalg.inv(scale)
    warped = cv2.warpPerspective(earlier, in_pixels, (width, height)).astype(np.float32)
    seen = cv2.warpPerspective(np.full_like(earlier, 255), in_pixels, (width, height)) == 255
    if not seen.any():
        return 0.0
    before, after = (cv2.GaussianBlur(each, (5, 5), 0) for each in (warped, later.astype(np.float32)))
    across, down = (cv2.Sobel(after, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    excess = np.abs(before - after) - 0.5 * np.hypot(across, down) - 1.0
    return float(np.maximum(excess, 0.0)[seen].mean())
