"""The decoder of a latent action model: the present frame and the codes in, the later frame out.

The present frame enters behind a stop-gradient (LAPA, arXiv 2410.11758, section 3.1), so that it cannot be bent into a
carrier of the future. Both decoders predict the change and start out copying the present frame (ours).
Legend: B batch, X channels, H height, W width, N tokens, E token width, C codes, D numbers of a code.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from lapa.network.encoder import Block, CrossAttention
from storage.errors import ConfigError, UnknownNameError

DecoderKind = Literal["unet", "transformer"]


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """`kind` "unet" is for small images, "transformer" for patches and for features of a frozen tower.

    `widths` are the U-Net's channels at half, quarter, ... of the size; `patch_px`, `width`, `depth` and `heads` the
    transformer's.
    """

    kind: DecoderKind = "unet"
    widths: tuple[int, ...] = (24, 48, 64, 96)
    patch_px: int = 16
    width: int = 128
    depth: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        if self.kind not in get_args(DecoderKind):
            raise UnknownNameError.among("decoder", self.kind, get_args(DecoderKind))
        if len(self.widths) < 2 or any(width % 8 for width in self.widths):
            raise ConfigError(f"a U-Net takes two or more widths, multiples of 8; got {self.widths}")


class UNetDecoder(nn.Module):
    """Convolutions down and up over the present frame; the codes enter at the bottom and scale every level."""

    def __init__(self, config: DecoderConfig, *, channels: int, size_px: tuple[int, int], numbers: int) -> None:
        super().__init__()
        sizes = [size_px]
        for _ in config.widths:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        self.bottom = sizes[-1]
        ways = (channels, *config.widths)
        self.down = nn.ModuleList(_convolution(a, b, stride=2) for a, b in pairwise(ways))
        self.code_map = nn.Linear(numbers, config.widths[-1] * self.bottom[0] * self.bottom[1])
        self.mix = _convolution(2 * config.widths[-1], config.widths[-1])
        pairs = list(pairwise(config.widths[::-1]))
        self.up = nn.ModuleList(_convolution(a + b, b) for a, b in pairs)
        self.scale = nn.ModuleList(nn.Linear(numbers, 2 * b) for _, b in pairs)
        self.out = nn.Conv2d(config.widths[0], 4 * channels, 3, padding=1)
        _start_at_zero(self.out)

    def forward(self, now_BXHW: Tensor, codes_BCD: Tensor) -> Tensor:
        """The change to add to the present frame, (B, X, H, W)."""
        flat, image, skips = codes_BCD.flatten(1), now_BXHW, []
        for layer in self.down:
            image = layer(image)
            skips.append(image)
        drawn = self.code_map(flat).view(len(flat), -1, *self.bottom)
        image = self.mix(torch.cat([skips.pop(), drawn], dim=1))
        for layer, scale in zip(self.up, self.scale, strict=True):
            skip = skips.pop()
            image = layer(torch.cat([functional.interpolate(image, size=skip.shape[2:]), skip], dim=1))
            gain, shift = scale(flat)[:, :, None, None].chunk(2, dim=1)
            image = image * (1 + gain) + shift
        change = functional.pixel_shuffle(self.out(image), 2)
        return change[:, :, : now_BXHW.shape[2], : now_BXHW.shape[3]]


class TransformerDecoder(nn.Module):
    """Tokens of the present frame attend to one another and to the codes, and say what changes in each patch."""

    def __init__(self, config: DecoderConfig, *, channels: int, size_px: tuple[int, int], code_dim: int) -> None:
        super().__init__()
        self.patch_px = config.patch_px
        if size_px[0] % self.patch_px or size_px[1] % self.patch_px:
            raise ConfigError(f"images of {size_px[1]}x{size_px[0]} do not divide into patches of {self.patch_px}")
        places = (size_px[0] // self.patch_px) * (size_px[1] // self.patch_px)
        self.patch = nn.Conv2d(channels, config.width, self.patch_px, stride=self.patch_px)
        self.position_NE = nn.Parameter(torch.randn(places, config.width) * 0.02)
        self.code_in = nn.Linear(code_dim, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.cross = nn.ModuleList(CrossAttention(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.ConvTranspose2d(config.width, channels, self.patch_px, stride=self.patch_px)
        _start_at_zero(self.out)

    def forward(self, now_BXHW: Tensor, codes_BCD: Tensor) -> Tensor:
        """The change to add to the present frame, (B, X, H, W)."""
        grid = self.patch(now_BXHW)
        tokens_BNE = grid.flatten(2).transpose(1, 2) + self.position_NE
        memory = self.code_in(codes_BCD)
        for block, cross in zip(self.blocks, self.cross, strict=True):
            tokens_BNE = block(tokens_BNE + cross(tokens_BNE, memory))
        change: Tensor = self.out(self.norm(tokens_BNE).transpose(1, 2).reshape(grid.shape))
        return change


def _start_at_zero(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """No change at first: an untrained decoder copies the present frame."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _convolution(channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Module:
    layer = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
    return nn.Sequential(layer, nn.GroupNorm(8, channels_out), nn.SiLU())
