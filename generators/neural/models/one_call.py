"""Models that are called clip by clip through their own diffusers pipeline: Cosmos-Predict2, CogVideoX, LTX.

What differs between them is a row of `CALLS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from generators.neural.clip_shape import ClipShape
from generators.neural.models.interface import Image, Request, Sampling
from generators.neural.models.prompt_check import check_prompt
from generators.neural.models.shape_rules import ShapeRules


@dataclass(frozen=True, kw_only=True)
class Call:
    """How a pipeline class is called: frames are `frames_step` k + 1, sides multiples of `side_px`, prompts of at most
    `text_tokens`; `rate_word` is the keyword that tells it the rate, if it listens to one."""

    frames_step: int
    side_px: int
    text_tokens: int
    rate_word: str = ""


CALLS: Mapping[str, Call] = {
    "Cosmos2VideoToWorldPipeline": Call(frames_step=4, side_px=16, text_tokens=512, rate_word="fps"),
    "CogVideoXImageToVideoPipeline": Call(frames_step=4, side_px=16, text_tokens=226),
    "LTXImageToVideoPipeline": Call(frames_step=8, side_px=32, text_tokens=128, rate_word="frame_rate"),
}


class OneCallModel:
    """A loaded pipeline that makes one clip a call."""

    def __init__(self, pipe: Any, shape: ClipShape, sampling: Sampling) -> None:
        self.pipe, self.shape, self.sampling, self.name = pipe, shape, sampling, type(pipe).__name__
        self.call = CALLS[self.name]
        self.text_tokens = min(self.call.text_tokens, pipe.tokenizer.model_max_length)
        self.rules = ShapeRules(frames_step=self.call.frames_step, side_px=self.call.side_px)

    def check_shape(self, shape: ClipShape) -> None:
        self.rules.check(shape, model=self.name)

    def check_prompt(self, prompt: str) -> None:
        check_prompt(prompt, self.pipe.tokenizer, most_tokens=self.text_tokens)

    def generate(self, requests: Sequence[Request], shape: ClipShape, sampling: Sampling) -> list[Image]:
        return [self._one(request, shape, sampling) for request in requests]

    @torch.inference_mode()
    def _one(self, request: Request, shape: ClipShape, sampling: Sampling) -> Image:
        from PIL import Image as Pillow

        rate = {self.call.rate_word: round(shape.rate_hz)} if self.call.rate_word else {}
        made = self.pipe(
            image=Pillow.fromarray(request.image),
            prompt=request.prompt,
            negative_prompt=sampling.negative_prompt or None,
            height=shape.height_px,
            width=shape.width_px,
            num_frames=shape.frames,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            max_sequence_length=self.text_tokens,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
            **rate,
        )
        clip: Image = made.frames[0]
        return clip
