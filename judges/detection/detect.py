"""The stage `detect`: the box of the instruction's target object in every frame, which is GR00T N1's auxiliary loss.

N1 (arXiv 2503.14734, section 2.1) has OWL-v2 find the target and trains on the centre of its box. Writes `label/box`
(T, 5): centre x, y, width, height over the picture, and the score; and `label/valid/box` (T,), where a box holds.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from judges.detection.config import DetectConfig
from judges.detection.target import target_of
from judges.detection.tracks import filled, without_jumps
from judges.rules.clip import camera_of
from storage.episode import Episode
from storage.errors import InputError
from storage.frames import Image
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

Array = NDArray[Any]


class Detector(Protocol):
    """What finds a thing by its name in pictures: the best box of each, (n, 4) centre and size in 0..1, and its score
    (n,)."""

    def __call__(self, pictures: Sequence[Image], query: str) -> tuple[Array, Array]: ...


class Detect:
    """The stage; `detector` replaces the model of the config."""

    def __init__(self, config: DetectConfig, detector: Detector | None = None) -> None:
        self.config = config
        if detector is None:
            from judges.detection.transformers_detector import TransformersDetector

            detector = TransformersDetector(str(config.folder), device=config.device, batch=config.batch)
        self._detector = detector

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._outcome(episode)] for episode in episodes]

    def _outcome(self, episode: Episode) -> Outcome:
        query = self.config.query or target_of(episode.instruction)
        if not query:
            detail = {"instruction": episode.instruction, "mend": "give a query"}
            return Dropped(episode_id=episode.episode_id, reason="no target object", detail=detail)
        try:
            camera = camera_of(episode, self.config.cameras)
        except InputError as error:
            return Dropped(episode_id=episode.episode_id, reason="no camera", detail={"message": str(error)})
        boxes, valid = self._track(episode, camera, query)
        return Kept(
            episode.adding(
                arrays={"label/box": boxes, "label/valid/box": valid},
                provenance={"detection": {"query": query, "camera": camera, "seen": round(float(valid.mean()), 4)}},
            )
        )

    def _track(self, episode: Episode, camera: str, query: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        config, frames = self.config, episode.cameras[camera]
        stride = max(1, round(config.stride_s * episode.rate_hz))
        looked = np.unique(np.append(np.arange(0, len(frames), stride), len(frames) - 1))
        boxes, scores = self._detector(list(frames.decode(looked.tolist())), query)
        seen = without_jumps(boxes, scores >= config.threshold, jump=config.jump)
        gap = max(stride, round(config.longest_gap_s * episode.rate_hz))
        return filled(looked, boxes, scores, seen, length=len(frames), longest_gap=gap)
