"""Two frames to tokens of motion: a frame encoder that runs once a frame, and a light trunk over pairs of its features.

The difference of the two frames enters early, at every scale (ours; small models trained from scratch on two raw
frames learn nothing, and CoMo replaces the later frame by the difference for the same reason).
Because the convolutions up to each scale are shared and run on single frames, a labeller computes them once a frame;
only the trunk, a fifth of the work, runs once a window. N images, C channels, h x w grids; "now" and "later" are the
two frames of a window.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from groot.encoders.context_tokens import as_pixels
from groot.network.backbone import build_backbone
from groot.presets import BackboneConfig
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class IdmEncoderConfig:
    """`width` is the number of channels after the stem; deeper scales have 1.5, 2 and 4 times as many.
    `blocks` is the number of residual blocks at each scale, `trunk_width` the channels that the pair trunk works
    with."""

    image_px: tuple[int, int] = (96, 128)
    width: int = 32
    blocks: tuple[int, int, int] = (1, 2, 2)
    trunk_width: int = 24
    token_width: int = 96

    def __post_init__(self) -> None:
        if self.image_px[0] % 16 or self.image_px[1] % 16:
            raise ConfigError(f"EncoderConfig.image_px must be (height, width) divisible by 16; got {self.image_px}")
        if self.width % 16 or self.trunk_width % 8 or self.token_width % 8:
            raise ConfigError(
                f"widths must be divisible by 16 (stem) and 8 (trunk, tokens); got {self.width}, {self.trunk_width},"
                f" {self.token_width}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the coarsest scale."""
        return self.image_px[0] // 16, self.image_px[1] // 16

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels at 1/4, 1/8 and 1/16 of the image."""
        return self.width * 3 // 2, self.width * 2, self.width * 4


Features = tuple[Tensor, ...]
"""Maps of single frames, fine to coarse, (N, C, h, w) each: at 1/4, 1/8 and 1/16 of the image from our own encoder,
one map of patches from an image tower; then what a trunk projects them to."""


def _norm(channels: int) -> nn.BatchNorm2d:
    # Batch norm costs nothing when labelling, because it folds into the convolution in front of it (see `folded`).
    return nn.BatchNorm2d(channels)


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    """All batch norms of a network."""
    return [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut; starts as the shortcut alone."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = _norm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = _norm(outputs)
        plain = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.first_norm(self.first(x)), inplace=True)
        # In place, here and below: a new map costs a CPU more time than what is done to it.
        return F.relu(self.second_norm(self.second(hidden)).add_(self.shortcut(x)), inplace=True)


class FrameEncoder(nn.Module):
    """uint8 images (N, H, W, 3), or float pixels (N, 3, h, w) in 0..1, to three scales of features."""

    def __init__(self, config: IdmEncoderConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.channels
        self.stem = nn.Conv2d(3, config.width, 5, 2, 2, bias=False)
        self.stem_norm = _norm(config.width)
        self.fine = self._stage(config.width, fine, config.blocks[0])
        self.middle = self._stage(fine, middle, config.blocks[1])
        self.coarse = self._stage(middle, coarse, config.blocks[2])

    def _stage(self, inputs: int, outputs: int, blocks: int) -> nn.Sequential:
        first = ResidualBlock(inputs, outputs, stride=2)
        return nn.Sequential(first, *(ResidualBlock(outputs, outputs) for _ in range(blocks - 1)))

    def forward(self, images: Tensor) -> Features:
        new = images.dtype == torch.uint8
        centred = as_pixels(images, self.config.image_px).sub_(0.5) if new else images - 0.5
        stem = F.relu(self.stem_norm(self.stem(centred)), inplace=True)
        fine = self.fine(stem)
        middle = self.middle(fine)
        return fine, middle, self.coarse(middle)


class PairTrunk(nn.Module):
    """Differences of two frames at three scales, and the present frame for context, to tokens (N, h w, C).

    The first layer on a difference is linear, and the difference of what it makes of two frames is what it makes of
    their difference: so it runs once a frame too (`project`), and only `forward` runs once a window.
    """

    def __init__(self, config: IdmEncoderConfig) -> None:
        super().__init__()
        t = config.trunk_width
        fine, middle, coarse = config.channels
        self.fine_change = nn.Conv2d(fine, t, 3, 2, 1)
        self.middle_both = nn.Conv2d(middle, 2 * t, 1)
        self.middle_block = ResidualBlock(3 * t, t)
        self.down = nn.Conv2d(t, 2 * t, 3, 2, 1)
        self.coarse_both = nn.Conv2d(coarse, 4 * t, 1)
        self.coarse_block = ResidualBlock(6 * t, 2 * t)
        self.out = nn.Conv2d(2 * t, config.token_width, 1)

    def project(self, scales: Features) -> Features:
        """What the trunk needs of single frames: three small maps."""
        fine, middle, coarse = scales
        return self.fine_change(fine), self.middle_both(middle), self.coarse_both(coarse)

    def forward(self, now: Features, later: Features) -> Tensor:
        middle = _change_and_now(now[1], later[1])
        motion = self.middle_block(F.relu(torch.cat([later[0] - now[0], *middle], dim=1), inplace=True))
        motion = F.relu(self.down(motion), inplace=True)
        coarse = _change_and_now(now[2], later[2])
        motion = self.coarse_block(torch.cat([motion, *(F.relu(part) for part in coarse)], dim=1))
        tokens: Tensor = self.out(motion).flatten(2).transpose(1, 2)
        return tokens


def _change_and_now(now: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
    """The first half of the channels as a difference, the second half of the present frame."""
    half = now.shape[1] // 2
    return later[:, :half] - now[:, :half], now[:, half:]


class TowerEncoder(nn.Module):
    """A pretrained image tower as frame encoder: one map of patches, (N, C, rows, columns)."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        tower = build_backbone(config)
        if not hasattr(tower, "patches"):
            raise ConfigError(f"an inverse dynamics model takes a tower of kind 'vision'; got {config.kind!r}")
        self.tower = tower

    def forward(self, images: Tensor) -> Features:
        tower: Any = self.tower
        patches: Tensor = tower.patches(images)
        rows, columns = tower.grid
        return (patches.transpose(1, 2).reshape(len(patches), -1, rows, columns),)


class TowerTrunk(nn.Module):
    """Change and present patches to 16 tokens, as many as the published model keeps of an image."""

    grid = (4, 4)

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.both = nn.Conv2d(width, 2 * token_width, 1)
        self.block = ResidualBlock(2 * token_width, token_width)
        self.pool = nn.AdaptiveAvgPool2d(self.grid)

    def project(self, scales: Features) -> Features:
        """What the trunk needs of single frames."""
        return (self.both(scales[-1]),)

    def forward(self, now: Features, later: Features) -> Tensor:
        motion = self.block(F.relu(torch.cat(_change_and_now(now[0], later[0]), dim=1)))
        tokens: Tensor = self.pool(motion).flatten(2).transpose(1, 2)
        return tokens


def folded(module: nn.Module) -> nn.Module:
    """A copy of `module` for labelling: batch norms folded into their convolutions, weights in the order of memory
    that CPU and GPU kernels like best. Gives the same numbers up to rounding."""
    copied = copy.deepcopy(module).eval()
    pairs = (("first", "first_norm"), ("second", "second_norm"), ("stem", "stem_norm"))
    for part in copied.modules():
        for convolution, norm in pairs:
            batch_norm = getattr(part, norm, None)
            if isinstance(batch_norm, nn.BatchNorm2d):
                setattr(part, convolution, fuse_conv_bn_eval(getattr(part, convolution), batch_norm))
                setattr(part, norm, nn.Identity())
    return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
