"""Two frames in, a short sequence of latent vectors out: what changed between them.

Spatial attention inside each frame, then temporal attention between the two frames at each place, as in LAPA
(arXiv 2410.11758, section 3.1). Ours: the frame difference as the second input (after CoMo, arXiv 2505.17006), a
convolutional stem for small images, and three ways to read the codes off the grid of tokens.
Legend: B batch, X channels, H height, W width, N tokens of a frame, E token width, C codes, D numbers of a code.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import ConfigError, UnknownNameError

Stem = Literal["conv", "patch"]
SecondInput = Literal["later", "difference"]
Readout = Literal["flat", "cells", "queries"]


@dataclass(frozen=True, kw_only=True)
class LapaEncoderConfig:
    """`stem`: strided convolutions of `conv_widths` (each halves the image), or square patches of `patch_px`.

    `second_input`: "later" encodes both frames alike, once a frame, and subtracts late; "difference" looks at the
    present frame and the difference of the two as one image. `readout`: "flat" reads all codes off the whole grid with
    one linear map, "cells" gives each code a cell of the image (a square number of codes), "queries" lets learned
    queries attend to the grid.
    """

    stem: Stem = "conv"
    second_input: SecondInput = "difference"
    readout: Readout = "flat"
    conv_widths: tuple[int, ...] = (32, 64, 96, 128)
    patch_px: int = 16
    width: int = 128
    heads: int = 4
    spatial_depth: int = 1
    temporal_depth: int = 1

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("stem", self.stem, get_args(Stem)),
            ("second input", self.second_input, get_args(SecondInput)),
            ("readout", self.readout, get_args(Readout)),
        ):
            if value not in known:
                raise UnknownNameError.among(kind, value, known)
        if self.width % self.heads or self.width % 4:
            raise ConfigError(f"width must be a multiple of 4 and of heads; got {self.width} and {self.heads} heads")
        if not self.conv_widths or min(self.spatial_depth, self.temporal_depth) < 0:
            raise ConfigError("expected at least one convolution and depths of 0 or more")


class PairEncoder(nn.Module):
    """Latent vectors of a pair. Inputs are frames (B, X, H, W), or features of a frozen tower laid out the same way."""

    def __init__(
        self, config: LapaEncoderConfig, *, channels: int, size_px: tuple[int, int], codes: int, code_dim: int
    ) -> None:
        super().__init__()
        self.config, self.codes, self.code_dim = config, codes, code_dim
        seen = channels * (2 if config.second_input == "difference" else 1)
        self.stem = _stem(config, seen)
        with torch.no_grad():
            rows, columns = self.stem(torch.zeros(1, seen, *size_px)).shape[2:]
        self.grid = (int(rows), int(columns))
        self.register_buffer("position_NE", _position(*self.grid, config.width), persistent=False)
        self.spatial = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.spatial_depth))
        late = config.second_input == "later"
        self.temporal = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.temporal_depth * late))
        self.when_2E = nn.Parameter(torch.randn(2, config.width) * 0.02)
        self.readout = _READOUTS[config.readout](self)

    @property
    def once_a_frame(self) -> bool:
        """Whether the costly part depends on one frame alone, so that each frame need be encoded only once."""
        return self.config.second_input == "later"

    def of_frame(self, frames_BXHW: Tensor) -> Tensor:
        """What `of_pair` needs of a frame: its tokens (B, N, E), or the frame itself where pairs meet at the input."""
        return self._tokens(frames_BXHW) if self.once_a_frame else frames_BXHW

    def of_pair(self, now: Tensor, later: Tensor) -> Tensor:
        """Latent vectors (B, C, D) from what `of_frame` gave for both frames."""
        if self.once_a_frame:
            change_BNE = self._late_difference(now, later)
        else:
            change_BNE = self._tokens(torch.cat([now, later - now], dim=1))
        latent: Tensor = self.readout(change_BNE)
        return latent

    def forward(self, now_BXHW: Tensor, later_BXHW: Tensor) -> Tensor:
        """Latent vectors (B, C, D) of the pairs."""
        return self.of_pair(self.of_frame(now_BXHW), self.of_frame(later_BXHW))

    def _tokens(self, image_BXHW: Tensor) -> Tensor:
        tokens_BNE = self.stem(image_BXHW).flatten(2).transpose(1, 2) + self.position_NE
        for block in self.spatial:
            tokens_BNE = block(tokens_BNE)
        mixed: Tensor = tokens_BNE
        return mixed

    def _late_difference(self, now_BNE: Tensor, later_BNE: Tensor) -> Tensor:
        both = torch.stack([now_BNE, later_BNE], dim=2) + self.when_2E
        places = both.flatten(0, 1)
        for block in self.temporal:
            places = block(places)
        return (places[:, 1] - places[:, 0]).view_as(now_BNE)


class Block(nn.Module):
    """Pre-norm self-attention and feed-forward, both residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens_BNE: Tensor) -> Tensor:
        """Tokens of the same shape."""
        query, key, value = (
            _by_head(part, self.heads)
            for part in self.query_key_value(self.norm_attention(tokens_BNE)).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens_BNE = tokens_BNE + self.out(mixed)
        fed: Tensor = tokens_BNE + self.feed(self.norm_feed(tokens_BNE))
        return fed


class FlatReadout(nn.Module):
    """All codes from the whole grid: narrow every token, then one linear map."""

    def __init__(self, encoder: PairEncoder, narrow: int = 32) -> None:
        super().__init__()
        rows, columns = encoder.grid
        width, numbers = encoder.config.width, encoder.codes * encoder.code_dim
        self.codes = encoder.codes
        self.narrow = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, narrow), nn.GELU())
        self.all = nn.Linear(rows * columns * narrow, numbers)

    def forward(self, tokens_BNE: Tensor) -> Tensor:
        """(B, C, D)."""
        numbers: Tensor = self.all(self.narrow(tokens_BNE).flatten(1))
        return numbers.view(len(tokens_BNE), self.codes, -1)


class CellReadout(nn.Module):
    """Each code from its own cell of the image, as LAPA's last convolutions do."""

    def __init__(self, encoder: PairEncoder) -> None:
        super().__init__()
        self.side = round(encoder.codes**0.5)
        if self.side**2 != encoder.codes:
            raise ConfigError(f"readout 'cells' takes a square number of codes; got {encoder.codes}")
        self.grid = encoder.grid
        self.out = nn.Sequential(nn.LayerNorm(encoder.config.width), nn.Linear(encoder.config.width, encoder.code_dim))

    def forward(self, tokens_BNE: Tensor) -> Tensor:
        """(B, C, D)."""
        grid = tokens_BNE.transpose(1, 2).reshape(len(tokens_BNE), -1, *self.grid)
        cells: Tensor = self.out(functional.adaptive_avg_pool2d(grid, self.side).flatten(2).transpose(1, 2))
        return cells


class QueryReadout(nn.Module):
    """Learned queries, one a code, attend to the grid."""

    def __init__(self, encoder: PairEncoder) -> None:
        super().__init__()
        width = encoder.config.width
        self.query_CE = nn.Parameter(torch.randn(encoder.codes, width) * 0.02)
        self.cross = CrossAttention(width, encoder.config.heads)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, encoder.code_dim))

    def forward(self, tokens_BNE: Tensor) -> Tensor:
        """(B, C, D)."""
        queries = self.query_CE.expand(len(tokens_BNE), -1, -1)
        codes: Tensor = self.out(queries + self.cross(queries, tokens_BNE))
        return codes


class CrossAttention(nn.Module):
    """Pre-norm attention of one set of tokens to another; the caller adds the result."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_memory = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query_BME: Tensor, memory_BNE: Tensor) -> Tensor:
        """(B, M, E)."""
        parts = (self.query(self.norm_query(query_BME)), *self.key_value(self.norm_memory(memory_BNE)).chunk(2, dim=-1))
        query, key, value = (_by_head(part, self.heads) for part in parts)
        mixed: Tensor = self.out(functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


def _by_head(tokens_BNE: Tensor, heads: int) -> Tensor:
    """(B, heads, N, E / heads)."""
    batch, places, width = tokens_BNE.shape
    return tokens_BNE.view(batch, places, heads, width // heads).transpose(1, 2)


_READOUTS: dict[str, type[nn.Module]] = {"flat": FlatReadout, "cells": CellReadout, "queries": QueryReadout}


def _stem(config: LapaEncoderConfig, channels: int) -> nn.Module:
    if config.stem == "patch":
        return nn.Conv2d(channels, config.width, config.patch_px, stride=config.patch_px)
    layers: list[nn.Module] = []
    for width in config.conv_widths:
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, config.width, 1))


def _position(rows: int, columns: int, width: int) -> Tensor:
    """Sines and cosines of row and column, (rows x columns, width)."""
    frequency = 1.0 / 100.0 ** (torch.arange(width // 4) / (width // 4))
    row = torch.arange(rows)[:, None] * frequency
    column = torch.arange(columns)[:, None] * frequency
    row_part = torch.cat([row.sin(), row.cos()], -1)[:, None].expand(-1, columns, -1)
    column_part = torch.cat([column.sin(), column.cos()], -1)[None].expand(rows, -1, -1)
    return torch.cat([row_part, column_part], dim=-1).flatten(0, 1)
