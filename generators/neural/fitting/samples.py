"""Fixed validation clips, drawn while a LoRA is fitted and written as mp4 beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generators.neural.clip_shape import ClipShape, cut_clip
from generators.neural.models.interface import Image, Request, Sampling
from storage.episode import Episode
from storage.formats.video.writer import write_video

MOST_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The truth of some held-out clips, and how to draw them again."""

    model: Any
    truth: Sequence[Image]
    prompts: Sequence[str]
    shape: ClipShape
    folder: Path

    @classmethod
    def of(
        cls, model: Any, episodes: Sequence[Episode], camera: str, shape: ClipShape, *, count: int, folder: Path
    ) -> "Samples":
        chosen = list(episodes[:count])
        return cls(
            model=model,
            truth=[cut_clip(episode, camera, shape) for episode in chosen],
            prompts=[episode.instruction for episode in chosen],
            shape=shape,
            folder=folder,
        )

    def write(self, number: int) -> list[Path]:
        """Draw every clip with the weights as they are; truth left, drawn right."""
        own: Sampling = self.model.sampling
        sampling = replace(own, steps=min(own.steps, MOST_STEPS))
        device, paths = self.model.device, []
        # The card holds the transformer alone while it trains: the rest comes back for as long as clips are drawn.
        others = [getattr(self.model.pipe, name, None) for name in ("text_encoder", "vae", "image_encoder")]
        for part in others:
            if part is not None:
                part.to(device)
        with torch.random.fork_rng():
            for place, (clip, prompt) in enumerate(zip(self.truth, self.prompts, strict=True)):
                request = Request(image=clip[0], prompt=prompt, seed=place)
                (drawn,) = self.model.generate([request], self.shape, sampling)
                pair = np.concatenate([clip, (np.nan_to_num(drawn).clip(0, 1) * 255).round().astype(np.uint8)], 2)
                paths.append(self.folder / f"{number:04d}-{place}.mp4")
                self.folder.mkdir(parents=True, exist_ok=True)
                write_video(pair, paths[-1], rate_hz=self.shape.rate_hz)
        for part in others:
            if part is not None:
                part.to("cpu")
        return paths
