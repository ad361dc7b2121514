"""The starter detector on held-out renders: boxes of visible things, and names that do not belong.

python -m benchmarks judge_detector      # simulates and draws its own held-out clips
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.judge.clips import HELD_OUT_SEED, MOMENTS, SIZE_PX, Drawn, collect, load
from benchmarks.judge.detector_starter import EVERY_NAME, LEAST_VISIBLE_PX
from judges.detection.config import STARTER_FOLDER
from judges.detection.transformers_detector import TransformersDetector

BARS = {"boxes_at_iou_half": {"at_least": 0.9}, "wrong_names_below": {"at_least": 0.95}}
NAMES = tuple(name for name in EVERY_NAME if name != "robot arm")


def run(quick: bool) -> dict[str, Any]:
    """The share of visible things with a box of IoU 0.5, and of wrong names that score below the right one."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = load(collect(Path(folder), attempts=2 if quick else 16, seed=HELD_OUT_SEED))
    figures = measured(drawn, STARTER_FOLDER)
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def measured(drawn: Sequence[Drawn], folder: Path, *, every: int = 4) -> dict[str, float]:
    """Figures over every so many moments of the episodes: one question for each visible thing, and three wrong ones
    about things that are nowhere in the scene."""
    detector, rng = TransformersDetector(str(folder), batch=32), np.random.default_rng(0)
    asked: dict[str, list[tuple[int, Any, Any]]] = {}
    rights = [
        (one.frames[moment], box[:4] / SIZE_PX, name, one.names)
        for one in drawn
        for moment in range(0, MOMENTS, every)
        for name, box in zip(one.names, one.boxes[moment], strict=True)
        if name != "robot arm" and box[4] >= LEAST_VISIBLE_PX
    ]
    for number, (frame, box, name, there) in enumerate(rights):
        asked.setdefault(name, []).append((number, frame, box))
        for wrong in rng.choice([other for other in NAMES if other not in there], 3, replace=False):
            asked.setdefault(str(wrong), []).append((number, frame, None))
    overlaps, right, wrong_scores = np.zeros(len(rights)), np.zeros(len(rights)), []
    for name, questions in asked.items():
        boxes, scores = detector([frame for _, frame, _ in questions], name)
        for (number, _, box), said, score in zip(questions, boxes, scores, strict=True):
            if box is None:
                wrong_scores.append((number, float(score)))
            else:
                overlaps[number], right[number] = _iou(said, box), score
    return {
        "things": float(len(rights)),
        "boxes_at_iou_half": float((overlaps >= 0.5).mean()),
        "median_iou": float(np.median(overlaps)),
        "wrong_names_below": float(np.mean([score < right[number] for number, score in wrong_scores])),
        **{f"boxes_of_{name.replace(' ', '_')}": share for name, share in _by_name(rights, overlaps).items()},
    }


def _by_name(rights: Sequence[tuple[Any, ...]], overlaps: Any) -> dict[str, float]:
    """Name -> the share of its boxes at an IoU of 0.5."""
    named = np.array([name for _, _, name, _ in rights])
    return {str(name): float((overlaps[named == name] >= 0.5).mean()) for name in np.unique(named)}


def _iou(said: Any, box: Any) -> float:
    corners = np.concatenate([said[:2] - said[2:] / 2, said[:2] + said[2:] / 2])
    inner = np.clip(np.minimum(corners[2:], box[2:]) - np.maximum(corners[:2], box[:2]), 0, None).prod()
    union = said[2:].prod() + (box[2:] - box[:2]).prod() - inner
    return float(inner / union) if union > 0 else 0.0
