"""Hands: false frames on real videos without human hands, and a contact sheet for the eye.

    python -m benchmarks relabel_hands

The sheet is drawn from the pictures in the folder PYRAMID_HAND_PICTURES, where there is one.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from judges.hands.hand_config import HandConfig
from judges.hands.palm_landmarker import PalmLandmarker
from storage.errors import MissingFileError
from storage.pictures.resizing import Resize
from storage.testing import find_real_data
from workflows.relabel_report.draw import draw_hand

SOURCES = ("g1_real_bottle", "gr1_sim_pick_place", "real_clips", "neural_clips")
TILE_PX = (240, 320)


def run(quick: bool) -> dict[str, Any]:
    """Shares of frames in which a hand is found, by source; none of the sources shows a human hand."""
    finder = PalmLandmarker(HandConfig(model="landmarker"))
    figures: dict[str, float] = {}
    frames = false = 0
    began = time.process_time()
    for source in SOURCES:
        seen = [bool(finder(image)) for image in _frames(find_real_data(source), every=120 if quick else 15)]
        figures[f"share of false frames, {source}"] = sum(seen) / len(seen)
        frames, false = frames + len(seen), false + sum(seen)
    figures |= {"share of false frames": false / frames, "frames": frames}
    figures["ms of CPU a look"] = 1000 * (time.process_time() - began) / frames
    pictures = os.environ.get("PYRAMID_HAND_PICTURES")
    if pictures:
        print(contact_sheet(Path(pictures), finder, Path("docs/pictures/hands.jpg")))
    bars = {"share of false frames": {"at_most": 0.05}}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _frames(folder: Path, *, every: int) -> Iterator[NDArray[np.uint8]]:
    for path in sorted(folder.rglob("*.mp4")):
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield frame.to_ndarray(format="rgb24")


def contact_sheet(folder: Path, finder: PalmLandmarker, target: Path) -> Path:
    """Pictures as they are, with hands drawn, turned and mirrored and small, and robots in which none may be found."""
    paths = sorted(folder.glob("*.jpg"))[:3]
    if len(paths) < 3:
        raise MissingFileError(f"{folder} must hold three pictures of hands (.jpg)")
    images = [_tile(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)) for path in paths]
    changed = [_tile(np.rot90(images[0])), np.ascontiguousarray(images[1][:, ::-1]), _small(images[2])]
    robots = [_tile(next(_frames(find_real_data(name), every=60))) for name in SOURCES[:3]]
    rows = [images, *([_drawn(image, finder) for image in row] for row in (images, changed, robots))]
    sheet = np.vstack([np.hstack(row) for row in rows])
    cv2.imwrite(str(target), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return target


def _tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return Resize(size_px=TILE_PX, fit="pad")(np.ascontiguousarray(image))


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.full_like(image, 128)
    inner = cv2.resize(image, (TILE_PX[1] // 2, TILE_PX[0] // 2), interpolation=cv2.INTER_AREA)
    out[60:180, 40:200] = inner
    return out


def _drawn(image: NDArray[np.uint8], finder: PalmLandmarker) -> NDArray[np.uint8]:
    out = image.copy()
    hands = finder(image)
    for hand in hands:
        points = hand.landmarks[:, :2] * np.array([image.shape[1], image.shape[0]], np.float32)
        draw_hand(out, points, (255, 120, 40) if hand.right else (60, 150, 255))
    text = " ".join(f"{'right' if hand.right else 'left'} {hand.score:.2f}" for hand in hands) or "no hand"
    cv2.putText(out, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(out, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return out
