"""A small encoder that says where things are: convolutions, then the mean place of each feature map.

Spatial softmax (Levine et al., "End-to-end training of deep visuomotor policies", JMLR 2016, section 4.2): each map
becomes a distribution over the image, and its mean the place of one keypoint. A policy of few demonstrations needs
places more than anything else, and keypoints carry over to places that no demonstration showed. Ours: a trunk for
each view, no norms (they cost half of a step on a CPU), words of the instruction as tokens of their own. With `film`
the instruction also scales and shifts the feature maps (FiLM, Perez et al., arXiv 1709.07871; as BC-Z and RT-1 do), so
that the keypoints are of the thing that is spoken of; at first it changes nothing.
B samples, V views, K keypoints, C channels, L words.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groot.encoders.context_tokens import Tokens, as_pixels
from groot.network.dit import SelfAttentionStack, masked_mean
from groot.presets import BackboneConfig
from storage.errors import SchemaError

WORDS = 4096
"""Buckets that words are hashed into; 0 is padding."""
LONGEST_WORDS = 32
_SCENE_TOKENS = 4
_PIXEL_SCALE = 4.0
"""Pixels are -0.5..0.5; brought to about unit deviation."""


class KeypointTrunk(nn.Module):
    """One view: pixels (B, 3, H, W) around zero to places (B, K, 2) in -1..1 and mean features (B, C)."""

    def __init__(self, *, keypoints: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels // 2, 5, stride=2, padding=2)
        self.second = nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1)
        self.third = nn.Conv2d(channels, channels, 3, padding=1)
        self.maps = nn.Conv2d(channels, keypoints, 1)
        # Maps of fresh weights are almost flat, and their mean places all in the middle: start sharp.
        self.sharpness = nn.Parameter(torch.tensor(10.0))

    def forward(self, pixels: Tensor, told_BC: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`told_BC`: scale and shift of the last layer's channels, (B, 2 C), each around zero."""
        features = self.third(F.relu(self.second(F.relu(self.first(pixels * _PIXEL_SCALE)))))
        if told_BC is not None:
            scale, shift = told_BC[:, :, None, None].chunk(2, dim=1)
            features = features * (1 + scale) + shift
        features = F.relu(features)
        maps = self.maps(features).float() * self.sharpness
        share = maps.flatten(2).softmax(dim=-1).view_as(maps)
        rows = torch.linspace(-1, 1, maps.shape[2], device=maps.device)
        columns = torch.linspace(-1, 1, maps.shape[3], device=maps.device)
        places = torch.stack([(share.sum(dim=2) * columns).sum(dim=-1), (share.sum(dim=3) * rows).sum(dim=-1)], dim=-1)
        return places, features.float().mean(dim=(2, 3))


class KeypointEncoder(nn.Module):
    """Keypoints of all views through one perceptron to a few scene tokens, and the instruction's words as further
    tokens. A missing view enters as zeros."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        channels = max(config.width // 2, 8)
        self.trunks = nn.ModuleList(
            KeypointTrunk(keypoints=config.keypoints, channels=channels) for _ in range(config.views)
        )
        inputs = config.views * (2 * config.keypoints + channels + 1)
        self.first = nn.Linear(inputs, 2 * config.width)
        self.second = nn.Linear(2 * config.width, _SCENE_TOKENS * config.width)
        self.word = nn.Embedding(WORDS, config.width)
        # As loud as the words: "red on green" and "green on red" differ in nothing but places.
        self.word_place = nn.Parameter(torch.randn(LONGEST_WORDS, config.width))
        self.words = SelfAttentionStack(layers=1, heads=2, head_width=config.width // 2, dropout=0.0)
        self.film = nn.Linear(config.width, config.views * 2 * channels) if config.film else None
        if self.film is not None:
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)

    def forward(self, batch: Mapping[str, Any]) -> Tokens:
        images: Tensor = batch["images"]
        if images.shape[1] > len(self.trunks):
            raise SchemaError(f"this encoder has trunks for {len(self.trunks)} views; got {images.shape[1]}")
        text = batch["text"][:, :LONGEST_WORDS] if "text" in batch else None
        said = None if text is None else self.words(self.word(text) + self.word_place[: text.shape[1]], text != 0)
        scene = self._scene(batch, None if text is None or said is None else masked_mean(said, text != 0))
        mask = torch.ones(scene.shape[:2], dtype=torch.bool, device=images.device)
        if text is None or said is None:
            return Tokens(scene, mask, torch.ones_like(mask))
        image = torch.cat([torch.ones_like(mask), torch.zeros_like(text, dtype=torch.bool)], dim=1)
        return Tokens(torch.cat([scene, said.to(scene.dtype)], dim=1), torch.cat([mask, text != 0], dim=1), image)

    def _scene(self, batch: Mapping[str, Any], said_BC: Tensor | None) -> Tensor:
        """Scene tokens (B, 4, C) of pictures that are looked at with the instruction's mean word `said_BC` in mind."""
        images: Tensor = batch["images"]
        count, views = images.shape[:2]
        present = batch.get("view_mask", torch.ones(count, views, dtype=torch.bool, device=images.device)).bool()
        told: list[Tensor | None] = [None] * len(self.trunks)
        if self.film is not None and said_BC is not None:
            told = list(self.film(said_BC).chunk(len(self.trunks), dim=1))
        parts = []
        for view, trunk in enumerate(self.trunks):
            if view < views:
                places, features = trunk(as_pixels(images[:, view], self.config.image_px) - 0.5, told[view])
                there = present[:, view : view + 1].float()
                parts += [places.flatten(1) * there, features * there, there]
            else:
                parts.append(images.new_zeros(count, self.first.in_features // len(self.trunks), dtype=torch.float32))
        scene: Tensor = self.second(F.relu(self.first(torch.cat(parts, dim=1))))
        return scene.view(count, _SCENE_TOKENS, -1)


def word_numbers(instructions: Sequence[str]) -> Tensor:
    """Instructions as hashed words (B, L), lower-cased, at most `LONGEST_WORDS`, padded with 0."""
    rows = [[_bucket(word) for word in text.lower().split()[:LONGEST_WORDS]] for text in instructions]
    longest = max([len(row) for row in rows] + [1])
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def _bucket(word: str) -> int:
    return 1 + zlib.crc32(word.strip(".,!?;:").encode()) % (WORDS - 1)
