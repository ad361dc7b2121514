"""Augmentations of a pair of frames: what changes between cameras, lights and scenes, and must not change the action.

Both frames of a window get the same shift, turn, zoom and colour, or the difference would lie. Occluders also teach
the visibility output: some windows are covered on purpose, and are then asked for nothing else.
B windows, V views; pixels are (B, 2, V, 3, h, w) floats in 0..1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Ranges, each +-. `shift` is a share of the image, `turn_rad` an angle, `zoom`, `brightness`, `contrast` and
    `tint` are relative. `noise` is the deviation of the pixel noise that `noise_share` of the windows get,
    `covered_share` of them get an occluder."""

    shift: float = 0.06
    turn_rad: float = 0.06
    zoom: float = 0.06
    brightness: float = 0.12
    contrast: float = 0.25
    tint: float = 0.08
    noise: float = 0.01
    noise_share: float = 0.5
    covered_share: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ConfigError(f"AugmentConfig.{name} must be in 0..1; got {value}")


def augmented(pixels: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Augmented pixels and which windows were covered (B,)."""
    batch = len(pixels)
    pixels = _moved(pixels, config)
    contrast = 1 + config.contrast * _between(batch, 1) + config.tint * _between(batch, 3)
    brightness = config.brightness * _between(batch, 1)
    # (pixels - 0.5) * contrast + 0.5 + brightness, with one pass less over the pictures.
    shift = 0.5 * (1 - contrast) + brightness
    contrast, shift = (each[:, None, None, :, None, None].to(pixels.device) for each in (contrast, shift))
    pixels = pixels.mul(contrast).add_(shift)
    if config.noise:
        _add_noise(pixels, config)
    return _covered(pixels, config)


def _between(*shape: int) -> Tensor:
    """Uniform in -1..1."""
    return torch.rand(shape) * 2 - 1


def _add_noise(pixels: Tensor, config: AugmentConfig) -> None:
    """Every window cuts its noise out of one long strip at a place of its own: drawing all of it would cost as much as
    a convolution, and noise that windows share does not average out of their gradients."""
    size = pixels[0].numel()
    strip = torch.randn(4 * size, device=pixels.device)
    places = torch.randint(0, 3 * size, (len(pixels),)).tolist()
    noisy = torch.rand(len(pixels)) < config.noise_share
    for row in noisy.nonzero()[:, 0].tolist():
        place = places[row]
        pixels[row].add_(strip[place : place + size].reshape(pixels[row].shape), alpha=config.noise)


def _moved(pixels: Tensor, config: AugmentConfig) -> Tensor:
    batch, frames, views, channels, height, width = pixels.shape
    if not (config.shift or config.turn_rad or config.zoom):
        return pixels.contiguous()
    count = batch * views
    zoom, turn = 1 + config.zoom * _between(count), config.turn_rad * _between(count)
    x, y = 2 * config.shift * _between(2, count)
    ratio = height / width
    rows = [
        torch.stack([zoom * turn.cos(), -zoom * turn.sin() * ratio, x], 1),
        torch.stack([zoom * turn.sin() / ratio, zoom * turn.cos(), y], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, height, width], align_corners=False).to(pixels.device)
    flat = pixels.contiguous().transpose(1, 2).reshape(count, frames * channels, height, width)
    moved = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return moved.reshape(batch, views, frames, channels, height, width).transpose(1, 2)


def _covered(pixels: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Patches of four kinds over a quarter to three fifths of each side: plain, noise, another place, another
    window."""
    batch, _, _, _, height, width = pixels.shape
    covered = torch.rand(batch) < config.covered_share
    result, pixels = pixels, pixels.clone() if covered.any() else pixels
    for row in covered.nonzero()[:, 0].tolist():
        tall, wide = (int(side * float(torch.empty(1).uniform_(0.25, 0.6))) for side in (height, width))
        top, left = (int(torch.randint(0, side, (1,))) for side in (height - tall, width - wide))
        kind = int(torch.randint(0, 4, (1,)))
        place = (row, slice(None), slice(None), slice(None), slice(top, top + tall), slice(left, left + wide))
        if kind == 0:
            patch = torch.rand(3, 1, 1).expand(3, tall, wide)
        elif kind == 1:
            coarse = torch.rand(1, 3, 4, 4)
            patch = F.interpolate(coarse, size=(tall, wide), mode="bilinear")[0]
        else:
            other = row if kind == 2 else int(torch.randint(0, batch, (1,)))
            away, along = (int(torch.randint(0, side, (1,))) for side in (height - tall, width - wide))
            patch = pixels[other, 0, 0, :, away : away + tall, along : along + wide]
        result[place] = patch.to(pixels.device)
    return result, covered.to(pixels.device)
