"""Frozen image towers (DINOv2, SigLIP-2): their features may take the place of pixels, as in UniVLA (2505.06111)."""

import torch
from torch import Tensor
from torch.nn import functional

from groot.presets import BackboneConfig
from storage.errors import ConfigError, MissingFileError


class FrozenTower:
    """Patch features of a transformers image tower, each patch normalised, so that errors are comparable.

    `source` is a folder or a name on a hub; raises MissingFileError or ConfigError when nothing usable is there.
    """

    def __init__(self, source: str, size_px: tuple[int, int]) -> None:
        # transformers takes seconds to import, and pixels do not need it.
        from transformers import AutoConfig

        from groot.network.vision_language import ImageTower

        try:
            settings = AutoConfig.from_pretrained(source)
        except OSError as error:
            raise MissingFileError(f"no image tower at {source!r}, neither a folder nor on a hub: {error}") from error
        self.width = int(getattr(settings, "vision_config", settings).hidden_size)
        config = BackboneConfig(kind="vision", source=source, width=self.width, image_px=size_px)
        self.tower = ImageTower(config).eval().requires_grad_(False)
        self.size_px = size_px
        self.grid = (size_px[0] // self.tower.patch_px, size_px[1] // self.tower.patch_px)
        if min(self.grid) < 1:
            raise ConfigError(f"frames of {size_px[1]}x{size_px[0]} px hold no patch of {self.tower.patch_px} px")

    @torch.no_grad()
    def __call__(self, images_BHW3: Tensor) -> Tensor:
        """Features (B, width, rows, columns)."""
        features_BNE = self.tower.to(images_BHW3.device).patches(images_BHW3)
        features_BNE = functional.layer_norm(features_BNE.float(), (self.width,))
        return features_BNE.transpose(1, 2).reshape(len(images_BHW3), self.width, *self.grid)


def load_tower(source: str, size_px: tuple[int, int]) -> FrozenTower:
    """The tower at `source`, for images of `size_px` (height, width)."""
    return FrozenTower(source, size_px)
