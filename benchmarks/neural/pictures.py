"""The pictures of dreams in `docs/pictures`: contact sheets of held-out scenes beside the truth, and counterfactuals.

python -m benchmarks.neural.pictures
"""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.lapa.simulated import cache_folder
from benchmarks.neural.clips import CAMERA, SHAPE
from benchmarks.neural.dreams import TASKS, dream, held_out
from benchmarks.neural.pairs import counterfactual_pairs
from generators.neural.clip_shape import cut_clip
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
MOMENTS, SCALE, GAP = (0, 3, 6, 9, 12, 16, 20), 2, 4


def strip(clip: NDArray[np.uint8], label: str) -> Any:
    """Some moments of a clip side by side, with a word in front."""
    row = np.concatenate(list(clip[list(MOMENTS)]), axis=1)
    row = cv2.resize(row, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    margin = np.full((row.shape[0], 190, 3), 255, np.uint8)
    for number, line in enumerate(label.split("\n")):
        cv2.putText(margin, line, (6, 30 + 22 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([np.full((GAP, row.shape[1] + 190, 3), 255, np.uint8), np.hstack([margin, row])])


def main() -> None:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    model = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    work = cache_folder() / "neural-starter" / "data"
    rows = []
    for task in TASKS:
        episodes = held_out(work, task, 2)
        for episode, clip in zip(episodes, dream(model, episodes), strict=True):
            rows += [strip(cut_clip(episode, CAMERA, SHAPE), f"{task}\ntruth"), strip(clip, "\ndreamed")]
    _write("neural-starter.jpg", rows)
    rows = []
    for pair in counterfactual_pairs(work, 40)[:3]:
        for episode, colour in zip(pair.episodes, ("red on green", "green on red"), strict=True):
            (clip,) = dream(model, [episode])
            rows += [strip(cut_clip(episode, CAMERA, SHAPE), f"{colour}\ntruth"), strip(clip, "\ndreamed")]
    _write("neural-counterfactual.jpg", rows)


def _write(name: str, rows: list[Any]) -> None:
    cv2.imwrite(str(FOLDER / name), np.concatenate(rows)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
