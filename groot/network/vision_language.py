"""Pretrained encoders of transformers behind the face of `groot.network.backbone`: image towers (SigLIP-2 fixed and
NaFlex, DINOv2 and others) and vision-language models with the features of a middle layer.

Everything is read from a folder or a hub by the library's own loader, in safetensors, and never with code from the
checkpoint: models that need their own code (Eagle) must be converted to a class that transformers ships.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from groot.encoders.context_tokens import Tokens, as_pixels
from groot.network.processors import load_processor, prepared
from groot.presets import BackboneConfig
from storage.errors import ConfigError, MissingFileError, UnknownNameError

_MEAN_STD = {
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "dino": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


_RANDOM_TOWERS = {
    "dinov2": (Dinov2WithRegistersConfig, Dinov2WithRegistersModel, {"mlp_ratio": 2, "num_register_tokens": 4}),
    "siglip2": (SiglipVisionConfig, SiglipVisionModel, {"intermediate_size": 64}),
}


def _random_tower(family: str) -> nn.Module:
    """A tiny tower with seeded random weights, for tests and as the baseline that every trained encoder must beat."""
    if family not in _RANDOM_TOWERS:
        raise UnknownNameError.among("random tower", family, _RANDOM_TOWERS)
    settings, tower, more = _RANDOM_TOWERS[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = tower(
            settings(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, patch_size=8, image_size=32, **more)
        )
    return model


def _load(config: BackboneConfig) -> nn.Module:
    if config.source.startswith("random/"):
        return _random_tower(config.source.removeprefix("random/"))
    if not config.source:
        raise ConfigError(f"a backbone of kind {config.kind!r} needs a source: a folder or a name on a hub")
    options: dict[str, Any] = {"attn_implementation": "sdpa", "use_safetensors": True}
    if config.revision:
        options["revision"] = config.revision
    try:
        settings = AutoConfig.from_pretrained(config.source)
        # A whole SigLIP is two towers; only the image tower is wanted.
        if hasattr(settings, "vision_config") and config.kind == "vision":
            whole = AutoModel.from_pretrained(config.source, **options)
            model: nn.Module = whole.vision_model
        else:
            model = AutoModel.from_pretrained(config.source, **options)
    except OSError as error:
        raise MissingFileError(
            f"no model at {config.source!r}, neither a folder nor reachable on a hub: {error}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"transformers cannot build the model at {config.source!r}: {error}") from error
    return model


class ImageTower(nn.Module):
    """Patch tokens of every view. Class and register tokens are left out. A source of "random/dinov2" or
    "random/siglip2" is a tiny tower with seeded random weights."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.tower = _load(config)
        self.tower.requires_grad_(config.tune_vision)
        settings: Any = self.tower.config
        self.patch_px = int(settings.patch_size)
        self.family = "dino" if "dino" in settings.model_type else "siglip"
        self.flexible = "siglip2" in settings.model_type
        self.leading = 1 + int(getattr(settings, "num_register_tokens", 0)) if self.family == "dino" else 0
        mean, std = self._mean_std()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        width = int(settings.hidden_size)
        self.project = nn.Identity() if width == config.width else nn.Linear(width, config.width)

    def _mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        file = Path(self.config.source) / "preprocessor_config.json"
        if file.exists():
            record = json.loads(file.read_text())
            return tuple(record["image_mean"]), tuple(record["image_std"])
        return _MEAN_STD[self.family]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches at `image_px`."""
        return self.config.image_px[0] // self.patch_px, self.config.image_px[1] // self.patch_px

    def patches(self, images: Tensor) -> Tensor:
        """Features (N, S, C) of images (N, H, W, 3), patch by patch in rows; what labellers compute once a frame."""
        result: Tensor = self.project(self._raw_patches(images))
        return result

    def _raw_patches(self, images: Tensor) -> Tensor:
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        pixels = (as_pixels(images, self.config.image_px) - mean) / std
        if self.flexible:
            features = self._flexible(pixels)
        else:
            options = {"interpolate_pos_encoding": True} if self.family == "siglip" else {}
            features = self._hidden(self.tower(pixels, output_hidden_states=bool(self.config.layer), **options))
        patches: Tensor = features[:, self.leading :]
        return patches

    def _flexible(self, pixels: Tensor) -> Tensor:
        """NaFlex towers take patches, their mask and the shape of the grid."""
        p = self.patch_px
        count, _, height, width = pixels.shape
        rows, columns = height // p, width // p
        grid = pixels[:, :, : rows * p, : columns * p].unfold(2, p, p).unfold(3, p, p)  # (N, 3, r, c, p, p)
        flat = grid.permute(0, 2, 3, 4, 5, 1).reshape(count, rows * columns, p * p * 3)
        out = self.tower(
            flat,
            torch.ones(count, rows * columns, dtype=torch.long, device=pixels.device),
            torch.tensor([[rows, columns]] * count, device=pixels.device),
            output_hidden_states=bool(self.config.layer),
        )
        return self._hidden(out)

    def _hidden(self, out: Any) -> Tensor:
        chosen: Tensor = out.hidden_states[self.config.layer] if self.config.layer else out.last_hidden_state
        return chosen

    def forward(self, batch: Mapping[str, Any]) -> Tokens:
        tokens = self.frozen(batch)
        return tokens._replace(values_BSC=self.project(tokens.values_BSC))

    def frozen(self, batch: Mapping[str, Any]) -> Tokens:
        """The tokens before the projection, which is trained: what a frozen tower makes of a batch."""
        images: Tensor = batch["images"]
        count, views = images.shape[:2]
        flat = self._raw_patches(images.flatten(0, 1))
        features = flat.reshape(count, views, *flat.shape[1:])
        present = batch.get("view_mask", torch.ones(count, views, dtype=torch.bool, device=images.device))
        mask = present.bool().repeat_interleave(features.shape[2], dim=1)
        return Tokens(features.flatten(1, 2), mask, torch.ones_like(mask))


class VisionLanguageModel(nn.Module):
    """Features of a middle layer of a vision-language model; the layers above it are cut off.

    A batch carries "vlm", what the model's own processor made of images and instruction (see `prepare`).
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _load(config)
        layers = self._layers()
        if not 0 <= config.layer <= len(layers):
            raise ConfigError(f"{config.source!r} has {len(layers)} layers; layer {config.layer} was asked for")
        if config.layer:
            del layers[config.layer :]
        self.model.requires_grad_(False)
        if config.tune_vision:
            self._vision().requires_grad_(True)
        for layer in list(layers)[len(layers) - config.tune_top :]:
            layer.requires_grad_(True)
        settings: Any = self.model.config
        self.image_token = int(settings.image_token_id)
        width = int(settings.get_text_config().hidden_size)
        self.project = nn.Identity() if width == config.width else nn.Linear(width, config.width)
        self._processor: Any = None

    def _layers(self) -> nn.ModuleList:
        for name in ("language_model", "text_model"):  # SmolVLM calls it the latter
            layers = getattr(getattr(self.model, name, None), "layers", None)
            if isinstance(layers, nn.ModuleList):
                return layers
        raise ConfigError(f"{type(self.model).__name__} has no language_model.layers to take features from")

    def _vision(self) -> nn.Module:
        for name in ("visual", "vision_tower", "vision_model"):
            tower = getattr(self.model, name, None)
            if isinstance(tower, nn.Module):
                return tower
        raise ConfigError(
            f"{type(self.model).__name__} has no part called visual, vision_tower or vision_model to tune"
        )

    def prepare(self, images: Tensor, instructions: list[str]) -> dict[str, Tensor]:
        """The "vlm" entry of a batch from images (B, V, H, W, 3) uint8 and one instruction a sample."""
        if self._processor is None:
            self._processor = load_processor(self.config.source)
        return prepared(self._processor, images, instructions)

    def forward(self, batch: Mapping[str, Any]) -> Tokens:
        tokens = self.frozen(batch)
        return tokens._replace(values_BSC=self.project(tokens.values_BSC))

    def frozen(self, batch: Mapping[str, Any]) -> Tokens:
        """The tokens before the projection, which is trained: what a frozen model makes of a batch."""
        inputs = batch["vlm"]
        hidden: Tensor = self.model(**inputs, use_cache=False).last_hidden_state
        return Tokens(hidden, inputs["attention_mask"].bool(), inputs["input_ids"] == self.image_token)
