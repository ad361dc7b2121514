"""What a latent action model is trained on: the later frame, few labels, and a contrast of endpoints.

Legend: B batch, X channels, H height, W width, A numbers of a label.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LapaLossConfig:
    """Weights of the parts of the loss.

    `change`: how much more an average changed pixel counts than a still one. `mask`: how much more a pixel inside the
    mask (hands, arms) counts. `label`: the auxiliary action head on the latent *before* quantisation (LAOM,
    arXiv 2502.00379, section 4: a few labels tell the latent which change is the action's). `swap`: contrast of
    endpoints: codes of another pair must rebuild this future worse, by the factor `swap_margin` (the test of Garrido et
    al., arXiv 2601.05230, turned into a loss: ours). `scale` is the squared error that counts as 1.
    """

    change: float = 3.0
    mask: float = 0.0
    label: float = 1.0
    swap: float = 0.0
    swap_margin: float = 2.0
    scale: float = 0.01

    def __post_init__(self) -> None:
        if min(self.change, self.mask, self.label, self.swap) < 0 or self.scale <= 0 or self.swap_margin <= 1:
            raise ConfigError(f"weights are 0 or more, scale above 0, swap_margin above 1; got {self}")


def pixel_weights(now_BXHW: Tensor, later_BXHW: Tensor, mask_B1HW: Tensor | None, config: LapaLossConfig) -> Tensor:
    """Weight of each place of each pair, (B, 1, H, W), mean 1 over the batch: where it changes, and inside the mask."""
    change = (later_BXHW - now_BXHW).abs().mean(1, keepdim=True)
    # Some blur, so that what surrounds an arm counts too; small grids of features are left as they are.
    if min(change.shape[2:]) > 16:
        change = functional.avg_pool2d(change, 5, stride=1, padding=2)
    weight = 1 + config.change * change / (change.mean() + 1e-3)
    if mask_B1HW is not None:
        weight = weight * (1 + config.mask * mask_B1HW)
    return weight / weight.mean()


def squared_errors(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared error of each pair, (B,)."""
    error = (predicted.float() - target.float()).square()
    return (error if weight is None else error * weight).mean(dim=(1, 2, 3))


def swap_contrast(own_B: Tensor, swapped_B: Tensor, config: LapaLossConfig) -> Tensor:
    """0 once foreign codes give at least `swap_margin` times the error of a pair's own codes."""
    return functional.relu(1 - swapped_B / (config.swap_margin * own_B.detach() + 1e-8)).mean()


def label_error(predicted_BA: Tensor, wanted_BA: Tensor, known_BA: Tensor) -> Tensor:
    """Mean squared error over the known numbers; 0 when nothing in the batch is labelled."""
    error = torch.where(known_BA, predicted_BA - wanted_BA, torch.zeros_like(wanted_BA)).square()
    return error.sum() / known_BA.sum().clamp_min(1)
