"""Any zero-shot detector of transformers, from a folder: OWL-v2, OWL-ViT, Grounding DINO and their kin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pictures

from storage.errors import CorruptFileError, MissingFileError
from storage.frames import Image

Array = NDArray[Any]


class TransformersDetector:
    """Holds model and processor; asks for one thing in a batch of pictures."""

    def __init__(self, folder: str, *, device: str = "auto", batch: int = 16) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        if not (Path(folder) / "config.json").is_file():
            raise MissingFileError(f"{folder} has no config.json; a detector is a folder that `save_pretrained` wrote")
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            self.processor: Any = AutoProcessor.from_pretrained(folder)
            network: Any = AutoModelForZeroShotObjectDetection.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise CorruptFileError(f"{folder} is no zero-shot detector that transformers loads: {error}") from error
        self.network = network.to(self.device).eval()
        self.batch = batch

    def __call__(self, pictures: Sequence[Image], query: str) -> tuple[Array, Array]:
        """The best box of each picture, (n, 4) centre and size in 0..1, and its score (n,); zeros without any box."""
        boxes, scores = np.zeros((len(pictures), 4), np.float32), np.zeros(len(pictures), np.float32)
        for begin in range(0, len(pictures), self.batch):
            for place, (box, score) in enumerate(self._batch(pictures[begin : begin + self.batch], query), begin):
                boxes[place], scores[place] = box, score
        return boxes, scores

    @torch.inference_mode()
    def _batch(self, pictures: Sequence[Image], query: str) -> list[tuple[Array, float]]:
        images = [Pictures.fromarray(picture) for picture in pictures]
        given = self.processor(images=images, text=[[query]] * len(images), return_tensors="pt").to(self.device)
        said = self.network(**given)
        sizes = torch.tensor([picture.shape[:2] for picture in pictures])
        boxes = self.processor.post_process_grounded_object_detection(
            outputs=said, target_sizes=sizes, threshold=0.0, text_labels=[[query]] * len(images)
        )
        return [_best(each, picture.shape[0], picture.shape[1]) for each, picture in zip(boxes, pictures, strict=True)]


def _best(boxes: Any, height_px: int, width_px: int) -> tuple[Array, float]:
    scores = boxes["scores"]
    if not len(scores):
        return np.zeros(4, np.float32), 0.0
    at = int(scores.argmax())
    x0, y0, x1, y1 = (float(number) for number in boxes["boxes"][at])
    x0, x1 = (min(max(number, 0.0), width_px) / width_px for number in (x0, x1))
    y0, y1 = (min(max(number, 0.0), height_px) / height_px for number in (y0, y1))
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], np.float32), float(scores[at])
