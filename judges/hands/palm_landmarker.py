"""The hand finder that ships: palms, then 21 landmarks in an upright crop around each (MediaPipe Hands, arXiv
2006.10214), run by OpenCV, without any further library. About 20 ms a look and 10 ms a hand on one core.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from judges.hands.hand_config import HandConfig
from judges.hands.landmarks import JOINTS, Hand
from judges.tflite.detector import PALMS, Detection, Detector, load_network
from storage.pictures.resizing import RGB

CROP_PX = 224
_PALM_TO_HAND, _PALM_SHIFT = 2.6, 0.5
_HAND_TO_HAND, _HAND_SHIFT = 2.0, 0.1
_AGAIN_SCORE = 0.5
_SAME = 0.25


class PalmLandmarker:
    """Finds at most one left and one right hand in a picture; every picture stands for itself."""

    def __init__(self, config: HandConfig) -> None:
        self._config = config
        self._palms = Detector(PALMS, config.palm_score)
        self._net = load_network("hand_landmark_lite.tflite")

    def __call__(self, image: RGB, /) -> list[Hand]:
        hands: list[tuple[Hand, NDArray[np.float32]]] = []
        for palm in self._palms(image)[:4]:
            seen = self._landmarks(image, *crop_of_palm(palm))
            if seen is None:
                continue
            # The crop around a palm is rough: a second look around the hand itself is surer and more exact.
            seen = self._landmarks(image, *crop_of_hand(seen[1])) or seen
            if seen[0].score >= self._config.hand_score:
                hands.append(seen)
        return _one_of_each(hands, image)

    def _landmarks(
        self, image: RGB, centre: NDArray[np.float32], size_px: float, turn_rad: float
    ) -> tuple[Hand, NDArray[np.float32]] | None:
        """The hand in a square crop of `size_px` around `centre`, turned by `turn_rad`: itself, and its landmarks
        (21, 3) in pixels of the picture. None where the model sees none, or the crop is no crop."""
        if not np.isfinite([*centre, size_px, turn_rad]).all() or size_px < 4:
            return None
        to_crop = _into_crop(centre, size_px, turn_rad)
        crop = cv2.warpAffine(image, to_crop, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
        self._net.setInput(np.ascontiguousarray((crop / 255.0).astype(np.float32).transpose(2, 0, 1)[None]))
        score, right, points, _ = self._net.forward(("Identity_1", "Identity_2", "Identity", "Identity_3"))
        if float(score.item()) < _AGAIN_SCORE:
            return None
        flat = points.reshape(JOINTS, 3).astype(np.float32)
        back = cv2.invertAffineTransform(to_crop)
        pixels = np.empty((JOINTS, 3), np.float32)
        pixels[:, :2] = flat[:, :2] @ back[:, :2].T + back[:, 2]
        pixels[:, 2] = flat[:, 2] * size_px / CROP_PX
        scaled = pixels / np.array([image.shape[1], image.shape[0], image.shape[1]], np.float32)
        # The model speaks of mirrored selfies: what it calls left is the right hand of a person who was not mirrored.
        return Hand(right=float(right.item()) >= 0.5, score=float(score.item()), landmarks=scaled), pixels


def crop_of_palm(palm: Detection) -> tuple[NDArray[np.float32], float, float]:
    """Centre, size and turn of the crop around a palm: 2.6 times as large, shifted by half towards the fingers."""
    left, top, right, bottom = palm.box
    size = max(right - left, bottom - top)
    turn = _turn(palm.points[0], palm.points[2])
    middle = np.array([(left + right) / 2, (top + bottom) / 2], np.float32)
    return _shifted(middle, turn, _PALM_SHIFT * size), _PALM_TO_HAND * size, turn


def crop_of_hand(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, float]:
    """The same from landmarks (21, 3) in pixels: twice as large as the hand, upright from wrist to the finger bases."""
    base = (points[5, :2] + points[13, :2]) / 4 + points[9, :2] / 2
    turn = _turn(points[0, :2], base)
    palm = points[[0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18], :2]
    cos, sin = np.cos(-turn), np.sin(-turn)
    upright = palm @ np.array([[cos, -sin], [sin, cos]], np.float32).T
    low, high = upright.min(axis=0), upright.max(axis=0)
    cos, sin = np.cos(turn), np.sin(turn)
    middle = ((low + high) / 2) @ np.array([[cos, -sin], [sin, cos]], np.float32).T
    size = float((high - low).max())
    return _shifted(middle.astype(np.float32), turn, _HAND_SHIFT * size), _HAND_TO_HAND * size, turn


def _turn(wrist: NDArray[np.float32], fingers: NDArray[np.float32]) -> float:
    """The angle by which a hand that points up would have to be turned to point like this one."""
    across, down = (fingers - wrist).tolist()
    return float(np.arctan2(across, -down))


def _shifted(centre: NDArray[np.float32], turn_rad: float, by_px: float) -> NDArray[np.float32]:
    """`centre` moved towards the fingers."""
    return (centre + by_px * np.array([np.sin(turn_rad), -np.cos(turn_rad)])).astype(np.float32)


def _into_crop(centre: NDArray[np.float32], size_px: float, turn_rad: float) -> NDArray[np.float64]:
    """(2, 3): pixels of the picture to pixels of the crop, in which the hand points up."""
    scale = CROP_PX / size_px
    cos, sin = np.cos(-turn_rad) * scale, np.sin(-turn_rad) * scale
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, CROP_PX / 2 - turn @ centre])


def _one_of_each(seen: list[tuple[Hand, NDArray[np.float32]]], image: RGB) -> list[Hand]:
    """The surest left and the surest right hand; two palms on one hand count once."""
    kept: list[tuple[Hand, NDArray[np.float32]]] = []
    for hand, pixels in sorted(seen, key=lambda each: -each[0].score):
        size = float(np.ptp(pixels[:, :2], axis=0).max())
        near = any(float(np.linalg.norm(pixels[9, :2] - other[9, :2])) < _SAME * size for _, other in kept)
        if not near and all(hand.right != other.right for other, _ in kept):
            kept.append((hand, pixels))
    return [hand for hand, _ in kept]
