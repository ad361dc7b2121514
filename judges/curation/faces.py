"""Blurring faces before a frame is stored. What the detector misses is not blurred: it finds faces that are at least
about an eighth of the picture's longer side, or less through four overlapping parts of the picture.
"""

import cv2
import numpy as np

from judges.tflite.detector import FACES, Box, Detection, Detector, without_overlaps
from storage.pictures.resizing import RGB

_MARGIN = 0.35
_PART = 0.6


class FaceBlur:
    """Takes an image (H, W, 3) and gives it with every face in it blurred beyond recognition."""

    def __init__(self, score: float = 0.6) -> None:
        self._detector = Detector(FACES, score)

    def __call__(self, image: RGB) -> RGB:
        faces = self.faces(image)
        if not faces:
            return image
        out = image.copy()
        for face in faces:
            _blur(out, face.box)
        return out

    def faces(self, image: RGB) -> list[Detection]:
        """The faces in `image`, in its pixels."""
        boxes = list(self._detector(image))
        height, width = image.shape[:2]
        part = (round(height * _PART), round(width * _PART))
        for top in (0, height - part[0]):
            for left in (0, width - part[1]):
                inside = image[top : top + part[0], left : left + part[1]]
                boxes += [_moved(each, left, top) for each in self._detector(np.ascontiguousarray(inside))]
        return without_overlaps(boxes)


def _moved(face: Detection, left: int, top: int) -> Detection:
    box = face.box
    return Detection(
        face.score,
        (box[0] + left, box[1] + top, box[2] + left, box[3] + top),
        face.points + np.array([left, top], np.float32),
    )


def _blur(image: RGB, box: Box) -> None:
    """Blur an ellipse around `box`, larger than it by a margin, in place."""
    height, width = image.shape[:2]
    across, down = (box[2] - box[0]) * _MARGIN, (box[3] - box[1]) * _MARGIN
    left, top = max(0, int(box[0] - across)), max(0, int(box[1] - 1.5 * down))
    right, bottom = min(width, int(box[2] + across) + 1), min(height, int(box[3] + down) + 1)
    if right - left < 2 or bottom - top < 2:
        return
    face = image[top:bottom, left:right]
    coarse = cv2.resize(face, (6, 6), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(coarse, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(face.shape[:2], np.uint8)
    middle = ((right - left) // 2, (bottom - top) // 2)
    cv2.ellipse(mask, middle, (max(1, middle[0]), max(1, middle[1])), 0, 0, 360, 255, -1)
    face[mask > 0] = smooth[mask > 0]
