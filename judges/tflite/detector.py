"""Detectors of MediaPipe's kind: small networks in tflite files that ship with the project, run by OpenCV.

Each is a single-shot detector whose anchors all have size one: a row of the network is a centre, a size and some
points, all relative to the middle of the anchor's cell (Bazarevsky et al., "BlazeFace", arXiv 1907.05047).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import MissingFileError
from storage.pictures.resizing import RGB

MODELS = Path(__file__).parent / "starter"
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
_OVERLAP = 0.3


@dataclass(frozen=True)
class Detection:
    """Something found in a picture, in pixels: `points` (P, 2)."""

    score: float
    box: Box
    points: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DetectorModel:
    """One network: its file, the names of its outputs, the side of its input, the values that a black and a white pixel
    become, and (cells a side, anchors a cell) of each grid."""

    file: str
    scores: str
    rows: str
    input_px: int
    black: float
    white: float
    grids: tuple[tuple[int, int], ...]


PALMS = DetectorModel(
    file="palm_detection_lite.tflite",
    scores="Identity_1",
    rows="Identity",
    input_px=192,
    black=0.0,
    white=1.0,
    grids=((24, 2), (12, 6)),
)
FACES = DetectorModel(
    file="face_detection_short_range.tflite",
    scores="classificators",
    rows="regressors",
    input_px=128,
    black=-1.0,
    white=1.0,
    grids=((16, 2), (8, 6)),
)


def load_network(name: str) -> "cv2.dnn.Net":
    """The shipped network `name`; raises MissingFileError."""
    path = MODELS / name
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; it ships with the project, check the installation")
    network: cv2.dnn.Net = cv2.dnn.readNetFromTFLite(str(path))
    return network


class Detector:
    """What `model` finds with a score of at least `score`, the surest first, without what overlaps something surer."""

    def __init__(self, model: DetectorModel, score: float) -> None:
        self._model, self._score = model, score
        self._net = load_network(model.file)
        self._anchors = anchor_centres(model.grids)

    def __call__(self, image: RGB) -> list[Detection]:
        model = self._model
        square, scale, left, top = letterboxed(image, model.input_px)
        values = model.black + square * (model.white - model.black)
        self._net.setInput(np.ascontiguousarray(values.transpose(2, 0, 1)[None].astype(np.float32)))
        logits, rows = self._net.forward((model.scores, model.rows))
        chances = 1 / (1 + np.exp(-np.clip(logits.reshape(-1), -80, 80)))
        corner = np.array([left, top], np.float32)
        detections = []
        for place in np.flatnonzero(chances >= self._score).tolist():
            pairs = rows[0, place].reshape(-1, 2)
            middle = self._anchors[place] * model.input_px
            centre, size = pairs[0] + middle, pairs[1]
            low, high = ((centre + sign * size / 2 - corner) / scale for sign in (-1, 1))
            box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            points = ((pairs[2:] + middle - corner) / scale).astype(np.float32)
            detections.append(Detection(float(chances[place]), box, points))
        return without_overlaps(detections)


def anchor_centres(grids: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """(A, 2): x and y of each anchor over the input's side, in the order of the network's rows."""
    rows = []
    for cells, each in grids:
        down, across = np.mgrid[0:cells, 0:cells]
        centres = np.stack([(across + 0.5) / cells, (down + 0.5) / cells], axis=-1).reshape(-1, 2)
        rows.append(np.repeat(centres, each, axis=0))
    return np.asarray(np.concatenate(rows), np.float32)


def letterboxed(image: RGB, size_px: int) -> tuple[NDArray[np.float32], float, int, int]:
    """(square (size, size, 3) within 0..1, scale, left, top): the picture in the middle of a black square."""
    height, width = image.shape[:2]
    scale = size_px / max(height, width)
    inner = cv2.resize(
        image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    left, top = (size_px - inner.shape[1]) // 2, (size_px - inner.shape[0]) // 2
    square = np.zeros((size_px, size_px, 3), np.float32)
    square[top : top + inner.shape[0], left : left + inner.shape[1]] = inner / 255.0
    return square, scale, left, top


def without_overlaps(detections: Sequence[Detection]) -> list[Detection]:
    """The surest first, without those that overlap a surer one."""
    kept: list[Detection] = []
    for each in sorted(detections, key=lambda detection: -detection.score):
        if all(overlap(each.box, other.box) < _OVERLAP for other in kept):
            kept.append(each)
    return kept


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)
