"""The first frame was not kept: a video model was given a picture, and its clip begins with another.

Where the picture is known (`provenance["first_frame"]`: the path of an image file), the first frame is compared with
it. Otherwise a first step that stands out from the steps after it tells that the model left the picture at once.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from judges.rules.clip import JudgedClip, thumbnail
from judges.rules.rule import Measured, Rule
from storage.errors import CorruptFileError

NEXT = slice(2, 9)
LEAST_JUMP = 4.0


def first_frame(clip: JudgedClip) -> Measured:
    """How many times the allowed difference the first frame is away; 1 is the limit."""
    reference = str(clip.episode.provenance.get("first_frame", ""))
    if reference:
        away = float(np.abs(clip.grey[0] - _reference(Path(reference), clip.grey[0].shape)).mean())
        return Measured(away / 8.0, f"the first frame is {away:.0f} grey levels from its picture", {"picture": True})
    if len(clip) < 4 or clip.contrast[:2].min() < LEAST_JUMP:
        return Measured(0.0, "")
    jump = float(clip.change[1])
    usual = max(float(clip.change[NEXT].max()), 0.7)
    ratio = jump / usual if jump >= LEAST_JUMP else 0.0
    return Measured(ratio / 3.0, f"the second frame leaves the first by {jump:.0f} grey levels", {"picture": False})


def _reference(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The picture as a grey thumbnail of `shape`; raises CorruptFileError."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise CorruptFileError(f"{path}, the picture that a clip begins with, is missing or no image")
    size = (shape[1], shape[0])
    small: NDArray[np.float32] = cv2.resize(thumbnail(image), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


FIRST_FRAME = Rule(name="first_frame", measure=first_frame, threshold=1.0)
