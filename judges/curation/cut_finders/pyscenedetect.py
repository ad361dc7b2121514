"""Cuts by PySceneDetect's adaptive detector, the best of its four on our splices (benchmarks/relabel/cut_detectors.py).

The package is no dependency: `pip install --no-deps scenedetect==0.7.2`.
"""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.curation.cut_finders.cut_finder import Borders
from judges.curation.cut_finders.requirements import check_pyscenedetect

SHORTEST_S = 0.5


class PySceneDetectCuts:
    """`AdaptiveDetector` with the thresholds it ships with, shots being at least half a second long. It knows of no
    fades."""

    size_px = (72, 96)

    def __init__(self) -> None:
        check_pyscenedetect()
        self._detectors: Any = importlib.import_module("scenedetect.detectors")
        self._common: Any = importlib.import_module("scenedetect.common")

    def __call__(self, images: NDArray[np.uint8], rate_hz: float, /) -> Borders:
        """See `CutFinder`."""
        detector = self._detectors.AdaptiveDetector(min_scene_len=max(1, round(SHORTEST_S * rate_hz)))
        borders: list[Any] = []
        for number, image in enumerate(images):
            bgr = np.ascontiguousarray(image[:, :, ::-1])
            borders += detector.process_frame(self._common.FrameTimecode(number, rate_hz), bgr)
        borders += detector.post_process(self._common.FrameTimecode(len(images) - 1, rate_hz))
        cuts = sorted({int(each.frame_num) for each in borders} - {0})
        return Borders(cuts=np.array(cuts, np.int64), fades=None)
