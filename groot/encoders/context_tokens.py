"""What every context encoder gives, and how pixels go in."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from storage.errors import SchemaError


class Tokens(NamedTuple):
    """Context tokens: values (B, S, C), which are real (B, S), which come from an image (B, S)."""

    values_BSC: Tensor
    mask_BS: Tensor
    image_BS: Tensor


def as_pixels(images: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Images (N, H, W, 3), uint8 or float in 0..1, as float (N, 3, h, w) in 0..1; resized with antialiasing where the
    size differs."""
    if images.ndim != 4 or images.shape[-1] != 3 or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise SchemaError(f"images must be uint8 or float (N, H, W, 3); got {images.dtype} {tuple(images.shape)}")
    pixels = images.permute(0, 3, 1, 2).float()
    if images.dtype == torch.uint8:
        pixels = pixels.div_(255)  # in place: what was uint8 is a new tensor by now
    if tuple(pixels.shape[-2:]) != tuple(size_px):
        pixels = F.interpolate(pixels, size=size_px, mode="bilinear", antialias=True, align_corners=False)
    return pixels
