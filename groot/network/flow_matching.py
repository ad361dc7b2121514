"""Flow matching on straight paths: from noise at tau = 0 to an action chunk at tau = 1.

GR00T N1 (arXiv 2503.14734), section 2.1: A_tau = tau A + (1 - tau) noise, the model predicts the velocity A - noise,
p(tau) = Beta((s - tau) / s; 1.5, 1) with s = 0.999 (more weight on noisy samples), sampling by K Euler steps.
B samples, H steps of a chunk, D numbers of an action.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from storage.errors import ConfigError

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(noisy actions (B, H, D), tau (B,)) -> velocity (B, H, D)."""


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """`euler_steps` is K; `alpha`, `beta` and `cut` are the Beta distribution's and s. `draws` of noise are learned
    from each sample in a step (ours): the context, which costs most in a small model, is computed once for them all."""

    euler_steps: int = 4
    alpha: float = 1.5
    beta: float = 1.0
    cut: float = 0.999
    draws: int = 1

    def __post_init__(self) -> None:
        if min(self.euler_steps, self.draws) < 1 or min(self.alpha, self.beta) <= 0 or not 0 < self.cut <= 1:
            raise ConfigError(
                "FlowConfig wants euler_steps and draws >= 1, alpha and beta > 0, 0 < cut <= 1; got"
                f" {self.euler_steps}, {self.draws}, {self.alpha}, {self.beta}, {self.cut}"
            )


def draw_tau(config: FlowConfig, batch: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Training times (B,) in [0, cut): tau = cut (1 - u) with u ~ Beta(alpha, beta)."""
    u = torch.distributions.Beta(config.alpha, config.beta).sample((batch,)).to(device)
    return config.cut * (1 - u)


def noisy(actions_BHD: Tensor, noise_BHD: Tensor, tau_B: Tensor) -> Tensor:
    """The point at time tau on the straight path from noise to actions."""
    tau = tau_B[:, None, None].to(actions_BHD.dtype)
    return tau * actions_BHD + (1 - tau) * noise_BHD


def flow_loss(velocity: Velocity, actions_BHD: Tensor, mask_BHD: Tensor, config: FlowConfig) -> Tensor:
    """Mean squared error of the velocity over the numbers that `mask_BHD` (bool or weights) admits.

    Masked numbers enter the model as zeros, so that padding carries no information.
    """
    mask = mask_BHD.to(actions_BHD.dtype)
    actions = torch.where(mask_BHD.bool(), actions_BHD, torch.zeros_like(actions_BHD))
    noise = torch.randn_like(actions)
    tau = draw_tau(config, len(actions), device=actions.device)
    present = mask_BHD.bool().to(actions.dtype)
    predicted = velocity(noisy(actions, noise, tau) * present, tau)
    error = (predicted.float() - (actions - noise).float()) ** 2
    return (error * mask).sum() / mask.sum().clamp(min=1)


@torch.no_grad()
def integrate(velocity: Velocity, noise_BHD: Tensor, mask_BHD: Tensor, config: FlowConfig) -> Tensor:
    """Actions from noise by `config.euler_steps` Euler steps; numbers outside the mask stay zero.

    Draws nothing and reads nothing on the host, so that a CUDA graph can hold it."""
    present = mask_BHD.bool().to(noise_BHD.dtype)
    actions = noise_BHD * present
    step = 1.0 / config.euler_steps
    for index in range(config.euler_steps):
        tau = torch.full((len(actions),), index * step, device=actions.device)
        actions = (actions + step * velocity(actions, tau).to(actions.dtype)) * present
    return actions
