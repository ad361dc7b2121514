"""The action head's Euler loop as one CUDA graph: four steps of a DiT are a thousand kernels, and starting them from
Python costs more than running them (N1's head on an H100: 36 to 40 ms for 4 steps, all of it launches).

A graph replays kernels on the memory that they were recorded with, so inputs are copied to fixed places first. It can
hold only what draws nothing and reads nothing on the host: `ActionHead.denoise`, which a test holds to that.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from groot.network.embodiment_layers import Slots
from groot.network.model import ActionHead, LoopInputs

_WARM_UPS = 3
"""Runs before a recording: kernels are chosen and loaded in them."""


class CapturedLoop:
    """`head.denoise`, recorded once for each shape of its inputs and each slot, at most `most` graphs; the least used
    goes. On a CPU, where there is nothing to record, the loop is run on the same fixed memory. The head's weights may
    change in place, but must not move."""

    def __init__(self, head: ActionHead, *, most: int = 8) -> None:
        self._head, self._most = head, most
        self._recorded: OrderedDict[Any, _Recorded] = OrderedDict()

    def __call__(self, inputs: LoopInputs, slots: Slots) -> Tensor:
        """Actions (B, H, D). Batches of several slots are not recorded: their rows change from call to call."""
        if self._head.training or any(rows is not None for _, rows in slots.parts):
            return self._head.denoise(inputs, slots)
        key = (slots.parts[0][0], *((part.shape, part.dtype) for part in inputs if part is not None))
        if key not in self._recorded:
            self._recorded[key] = _Recorded(lambda fixed: self._head.denoise(fixed, slots), inputs)
            if len(self._recorded) > self._most:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(key)
        return self._recorded[key](inputs)


class _Recorded:
    """One recording: fixed inputs, and what runs the loop on them."""

    def __init__(self, loop: Callable[[LoopInputs], Tensor], inputs: LoopInputs) -> None:
        self._fixed = LoopInputs(*(None if part is None else part.clone() for part in inputs))  # type: ignore[arg-type]
        self._run: Callable[[], Tensor] = lambda: loop(self._fixed)
        if inputs.noise_BHD.device.type == "cuda":
            self._run = self._record(loop)

    def _record(self, loop: Callable[[LoopInputs], Tensor]) -> Callable[[], Tensor]:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                loop(self._fixed)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = loop(self._fixed)

        def replayed() -> Tensor:
            graph.replay()
            return result.clone()

        return replayed

    def __call__(self, inputs: LoopInputs) -> Tensor:
        for fixed, given in zip(self._fixed, inputs, strict=True):
            if fixed is not None and given is not None:
                fixed.copy_(given)
        return self._run()
