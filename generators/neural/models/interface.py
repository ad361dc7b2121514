"""What the rest of the project knows of an image-to-video model.

Legend: B clips, T frames, H x W pixels, C latent channels, T' h w the size of a latent, L text tokens, D their width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from generators.neural.clip_shape import ClipShape
from storage.errors import ConfigError

Image = NDArray[np.uint8]
"""A picture (H, W, 3), or a clip (T, H, W, 3)."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How clips are drawn: `steps` of the sampler, `guidance` towards the prompt (1: none), what to steer away
    from."""

    steps: int = 50
    guidance: float = 5.0
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.guidance < 0:
            raise ConfigError(f"sampling needs steps of 1 or more and guidance of 0 or more; got {self}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One clip that is wanted. `image` (H, W, 3) has the size of the clip; equal seeds give equal noise."""

    image: Image
    prompt: str
    seed: int


class VideoModel(Protocol):
    """A model that is loaded and ready. `shape` and `sampling` are what it was made for."""

    name: str
    shape: ClipShape
    sampling: Sampling
    pipe: Any

    def check_shape(self, shape: ClipShape) -> None:
        """Raise ConfigError when the model cannot make clips of `shape`; the text names the nearest it can."""

    def check_prompt(self, prompt: str) -> None:
        """Raise InputError when `prompt` is empty, too long for the tokenizer, or holds words it does not know."""

    def generate(self, requests: Sequence[Request], shape: ClipShape, sampling: Sampling) -> list[Image]:
        """One clip (T, H, W, 3) for each request, in order; a clip follows from its own request. NaN stays NaN: clips
        are float32 in [0, 1]."""


class TrainableModel(VideoModel, Protocol):
    """A model whose training sample we know how to form."""

    def clip_latents(self, clip: Image) -> Mapping[str, Any]:
        """Everything of a clip (T, H, W, 3) that its transformer is trained on, without the batch dimension."""

    def text_latents(self, prompt: str) -> Any:
        """The embedded prompt (L, D)."""

    def flow_loss(self, clips: Mapping[str, Any], texts: Any, *, sigma: Any, noise: Any) -> Any:
        """The squared error of the predicted velocity for each clip, (B,); `clips` are stacked `clip_latents`,
        `texts` (B, L, D), `sigma` (B,) the share of noise, `noise` as the latents."""
