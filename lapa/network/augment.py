"""Augmentation shared by both frames of a pair: what moves the camera or the light moves it for both.

After LAOM (arXiv 2502.00379, section 4): a change that both frames share is no action, and the model learns so.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Ranges of the random changes: shift as a share of the image, zoom and contrast as shares of 1, brightness as a
    share of white. All 0 turns augmentation off. No mirroring: it would turn a right arm into a left one."""

    shift: float = 0.04
    zoom: float = 0.05
    brightness: float = 0.1
    contrast: float = 0.15

    def __post_init__(self) -> None:
        values = (self.shift, self.zoom, self.brightness, self.contrast)
        if min(values) < 0 or max(values) >= 0.5:
            raise ConfigError(f"ranges of augmentation lie between 0 and 0.5; got {values}")

    @property
    def off(self) -> bool:
        return not (self.shift or self.zoom or self.brightness or self.contrast)


def augment_pair(now_BHW3: Tensor, later_BHW3: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Both frames of each pair, uint8 (B, H, W, 3), changed alike; draws from torch's generator."""
    if config.off:
        return now_BHW3, later_BHW3
    batch = len(now_BHW3)
    both = torch.cat([now_BHW3, later_BHW3], dim=3).permute(0, 3, 1, 2).float()
    uniform = torch.rand(batch, 7, device=both.device) * 2 - 1
    where_B23 = torch.zeros(batch, 2, 3, device=both.device)
    where_B23[:, 0, 0] = where_B23[:, 1, 1] = 1 + config.zoom * uniform[:, 0]
    where_B23[:, :, 2] = 2 * config.shift * uniform[:, 1:3]
    grid = functional.affine_grid(where_B23, list(both.shape), align_corners=False)
    both = functional.grid_sample(both, grid, padding_mode="reflection", align_corners=False)
    gain_B611 = (1 + config.contrast * uniform[:, 3:6]).repeat(1, 2)[:, :, None, None]
    offset_B111 = 255 * config.brightness * uniform[:, 6, None, None, None]
    changed = (both * gain_B611 + offset_B111).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return changed[..., :3], changed[..., 3:]
