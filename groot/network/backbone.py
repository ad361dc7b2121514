"""Common interface of the context encoders (System 2): images and text in, context tokens out.

Kinds (see `BackboneConfig`): our own small encoders (attention over a grid, or keypoints), an image tower, a
vision-language model. Each takes a batch
(a mapping) and gives `Tokens`. B samples, V views, S tokens, C channels, L text positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groot.encoders.context_tokens import Tokens, as_pixels
from groot.network.dit import SelfAttentionStack
from groot.presets import BackboneConfig
from storage.errors import ConfigError, SchemaError

TEXT_BYTES = 256
"""Our own encoder reads text as UTF-8 bytes, 0 = padding."""


def build_backbone(config: BackboneConfig) -> nn.Module:
    """The encoder that `config` names; reads weights when it is one of transformers'."""
    if config.kind == "own":
        return OwnEncoder(config)
    if config.kind == "keypoints":
        from groot.encoders.keypoint_encoder import KeypointEncoder

        return KeypointEncoder(config)
    from groot.network.vision_language import ImageTower, VisionLanguageModel  # transformers takes seconds to import

    return ImageTower(config) if config.kind == "vision" else VisionLanguageModel(config)


class ConvolutionStem(nn.Module):
    """Image to a grid at 1/8 of its size: (N, 3, H, W) -> (N, width, H/8, W/8). Small models need convolutions: a small
    vision transformer on raw frames learned nothing in our studies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = (3, max(width // 4, 8), max(width // 2, 8), width)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 5 if a == 3 else 3, stride=2, padding=2 if a == 3 else 1) for a, b in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, size) for size in sizes[1:])

    def forward(self, pixels: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            pixels = F.relu(norm(convolution(pixels)))
        return pixels


@dataclass(frozen=True)
class _Grid:
    rows: int
    columns: int


class OwnEncoder(nn.Module):
    """Convolutions to a grid of tokens for each view, bytes of the instruction as tokens, self-attention over all."""

    max_views = 8
    max_text = 128

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        height_px, width_px = config.image_px
        if height_px % 16 or width_px % 16 or width % 16:
            raise ConfigError(
                f"our encoder wants image sizes and a width that 16 divides; got {config.image_px}, {width}"
            )
        self.grid = _Grid(height_px // 16, width_px // 16)
        self.stem = ConvolutionStem(width)
        self.patch = nn.Conv2d(width, width, 2, stride=2)
        self.place = nn.Parameter(torch.randn(self.grid.rows * self.grid.columns, width) * 0.02)
        self.view = nn.Parameter(torch.randn(self.max_views, width) * 0.02)
        self.letter = nn.Embedding(TEXT_BYTES, width)
        self.letter_place = nn.Parameter(torch.randn(self.max_text, width) * 0.02)
        self.attention = SelfAttentionStack(
            layers=config.depth, heads=max(width // 32, 1), head_width=min(width, 32), dropout=0.0
        )

    def forward(self, batch: Mapping[str, Any]) -> Tokens:
        images: Tensor = batch["images"]
        count, views = images.shape[:2]
        if views > self.max_views:
            raise SchemaError(f"our encoder takes at most {self.max_views} views; got {views}")
        pixels = as_pixels(images.flatten(0, 1), self.config.image_px)
        grid = self.patch(self.stem(pixels - 0.5)).flatten(2).transpose(1, 2) + self.place
        seen = (grid.unflatten(0, (count, views)) + self.view[:views, None]).flatten(1, 2)
        present = batch.get("view_mask", torch.ones(count, views, dtype=torch.bool, device=images.device))
        mask = present.bool().repeat_interleave(self.place.shape[0], dim=1)
        image = torch.ones_like(mask)
        if "text" in batch:
            text = batch["text"][:, : self.max_text]
            said = self.letter(text) + self.letter_place[: text.shape[1]]
            seen, mask = torch.cat([seen, said], dim=1), torch.cat([mask, text != 0], dim=1)
            image = torch.cat([image, torch.zeros_like(text, dtype=torch.bool)], dim=1)
        return Tokens(self.attention(seen, mask), mask, image)


def text_bytes(instructions: list[str], *, length: int = OwnEncoder.max_text) -> Tensor:
    """Instructions as bytes (B, L), cut at `length` and padded with 0."""
    rows = [list(text.encode()[:length]) for text in instructions]
    longest = max([len(row) for row in rows] + [1])
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])
