"""Parts of the network that belong to one embodiment: each slot of a bank has weights of its own.

GR00T N1 (arXiv 2503.14734), section 2.1: state and action go through multi-layer perceptrons specific to the
embodiment; the action encoder also takes the flow time. Slots: B samples, T tokens, D numbers, C channels, E slots.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Slots:
    """Which samples go through which slot: (slot, rows (n,)), rows None for all of them. Made once a batch, since it
    reads numbers from the device; what is done with it reads none."""

    parts: tuple[tuple[int, Tensor | None], ...]

    @classmethod
    def of(cls, slot_B: "Tensor | Slots") -> "Slots":
        """The slots of a batch, sample by sample in `slot_B` (B,) int64; what is sorted already stays as it is."""
        if isinstance(slot_B, Slots):
            return slot_B
        there = torch.unique(slot_B).tolist()
        if len(there) == 1:
            return cls(((int(there[0]), None),))
        return cls(tuple((int(slot), (slot_B == slot).nonzero(as_tuple=True)[0]) for slot in there))

    def repeated(self, batch: int, times: int) -> "Slots":
        """The slots of `times` copies of the batch of `batch` samples, one behind the other."""

        def rows_of_all(rows: Tensor) -> Tensor:
            return torch.cat([rows + batch * copy for copy in range(times)])

        return Slots(tuple((slot, None if rows is None else rows_of_all(rows)) for slot, rows in self.parts))


class LinearBank(nn.Module):
    """E linear layers; sample b goes through the one that `slots` names for it."""

    def __init__(self, slots: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(slots, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(slots, outputs))
        nn.init.normal_(self.weight, std=0.02 if inputs > 512 else 1 / math.sqrt(inputs))

    def forward(self, x_BTD: Tensor, slots: Tensor | Slots) -> Tensor:
        """`slots`: sorted already, or the slot of each sample (B,)."""
        if len(self.weight) == 1:
            return x_BTD @ self.weight[0] + self.bias[0]
        # One matrix product for each slot that occurs: gathering a weight per sample would cost B times its memory.
        outputs: Tensor | None = None
        for slot, rows in Slots.of(slots).parts:
            if rows is None:
                return x_BTD @ self.weight[slot] + self.bias[slot]
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

    def forward(self, x_BTD: Tensor, slots: Tensor | Slots) -> Tensor:
        hidden: Tensor = F.relu(self.first(x_BTD, slots))
        result: Tensor = self.second(hidden, slots)
        return result


class ActionEncoderBank(nn.Module):
    """E encoders of noisy actions and flow time into tokens."""

    def __init__(self, slots: int, action_size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.action = LinearBank(slots, action_size, width)
        self.with_time = LinearBank(slots, 2 * width, width)
        self.out = LinearBank(slots, width, width)

    def forward(self, actions_BTD: Tensor, tau_B: Tensor, slots: Tensor | Slots) -> Tensor:
        tokens = self.action(actions_BTD, slots)
        time = sinusoid(tau_B * 1000, self.width)[:, None].expand(-1, tokens.shape[1], -1).to(tokens.dtype)
        hidden = F.silu(self.with_time(torch.cat([tokens, time], dim=-1), slots))
        result: Tensor = self.out(hidden, slots)
        return result


def sinusoid(value_B: Tensor, width: int) -> Tensor:
    """Sine and cosine of `value_B` at `width` / 2 geometrically spaced frequencies: (B, width)."""
    half = width // 2
    rates = torch.exp(-math.log(10_000.0) * torch.arange(half, device=value_B.device, dtype=torch.float32) / half)
    angle = value_B.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
