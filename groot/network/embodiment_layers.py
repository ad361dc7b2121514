"""Parts of the network that belong to one embodiment: each slot of a bank has weights of its own.

GR00T N1 (arXiv 2503.14734), section 2.1: state and action go through multi-layer perceptrons specific to the
embodiment; the action encoder also takes the flow time. Slots: B samples, T tokens, D numbers, C channels, E slots.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LinearBank(nn.Module):
    """E linear layers; sample b goes through the one that `slot_B[b]` names."""

    def __init__(self, slots: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(slots, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(slots, outputs))
        nn.init.normal_(self.weight, std=0.02 if inputs > 512 else 1 / math.sqrt(inputs))

    def forward(self, x_BTD: Tensor, slot_B: Tensor) -> Tensor:
        if len(self.weight) == 1:
            return x_BTD @ self.weight[0] + self.bias[0]
        # One matrix product for each slot that occurs: gathering a weight per sample would cost B times its memory.
        outputs: Tensor | None = None
        for slot in torch.unique(slot_B).tolist():
            rows = (slot_B == slot).nonzero(as_tuple=True)[0]
            part = x_BTD[rows] @ self.weight[slot] + self.bias[slot]
            if outputs is None:
                outputs = part.new_zeros((*x_BTD.shape[:-1], part.shape[-1]))
            outputs = outputs.index_copy(0, rows, part)
        assert outputs is not None, "a batch holds at least one sample"
        return outputs


class PerceptronBank(nn.Module):
    """E perceptrons of two layers: state encoders and action decoders."""

    def __init__(self, slots: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = LinearBank(slots, inputs, hidden)
        self.second = LinearBank(slots, hidden, outputs)

    def forward(self, x_BTD: Tensor, slot_B: Tensor) -> Tensor:
        hidden: Tensor = F.relu(self.first(x_BTD, slot_B))
        result: Tensor = self.second(hidden, slot_B)
        return result


class ActionEncoderBank(nn.Module):
    """E encoders of noisy actions and flow time into tokens."""

    def __init__(self, slots: int, action_size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.action = LinearBank(slots, action_size, width)
        self.with_time = LinearBank(slots, 2 * width, width)
        self.out = LinearBank(slots, width, width)

    def forward(self, actions_BTD: Tensor, tau_B: Tensor, slot_B: Tensor) -> Tensor:
        tokens = self.action(actions_BTD, slot_B)
        time = sinusoid(tau_B * 1000, self.width)[:, None].expand(-1, tokens.shape[1], -1).to(tokens.dtype)
        hidden = F.silu(self.with_time(torch.cat([tokens, time], dim=-1), slot_B))
        result: Tensor = self.out(hidden, slot_B)
        return result


def sinusoid(value_B: Tensor, width: int) -> Tensor:
    """Sine and cosine of `value_B` at `width` / 2 geometrically spaced frequencies: (B, width)."""
    half = width // 2
    rates = torch.exp(-math.log(10_000.0) * torch.arange(half, device=value_B.device, dtype=torch.float32) / half)
    angle = value_B.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
