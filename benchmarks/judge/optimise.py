"""What the fits of the starter judge and the starter detector share: a rate that warms up and falls, and an update."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


def set_rate(
    optimiser: torch.optim.Optimizer, most: float, *, step: int, share: float, warm: int = 30, least: float = 0.02
) -> None:
    """Rise to `most` over `warm` steps, and fall by a cosine to `least` of it, `share` (0..1) of the way being done."""
    falling = least + (1 - least) * 0.5 * (1 + np.cos(np.pi * share))
    for group in optimiser.param_groups:
        group["lr"] = most * min(1.0, (step + 1) / warm) * falling


def update(optimiser: torch.optim.Optimizer, learned: Sequence[nn.Parameter], loss: Tensor) -> None:
    """One step downhill, with gradients of at most length 1."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(learned, 1.0)
    optimiser.step()
