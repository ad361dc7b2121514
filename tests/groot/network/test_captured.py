"""The Euler loop can be recorded: it draws nothing, reads nothing on the host, and runs on fixed memory."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from groot.network.captured import CapturedLoop
from groot.network.embodiment_layers import Slots
from groot.network.model import ActionHead, LoopInputs
from groot.presets import HeadConfig, preset

FORBIDDEN = {
    "_local_scalar_dense",
    "item",
    "nonzero",
    "_unique2",
    "unique_dim",
    "masked_select",
    "is_nonzero",
    "equal",
    "lift_fresh",
    "_pin_memory",
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "normal",
    "normal_",
    "uniform_",
    "bernoulli",
    "bernoulli_",
    "native_dropout",
    "multinomial",
    "exponential_",
}
"""What reads a number on the host, makes memory there, or draws at random."""


class Capturable(TorchDispatchMode):
    """Refuses what a CUDA graph cannot hold."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in FORBIDDEN:
            raise AssertionError(f"{func} cannot be recorded")
        return func(*args, **(kwargs or {}))


def head_of(name: str, *, alternate: bool = False) -> ActionHead:
    config: HeadConfig = preset(name).head
    torch.manual_seed(0)
    adapter = (1, 2, config.dit.context_width // 2)
    return ActionHead(
        replace(config, adapter=adapter, dit=replace(config.dit, layers=4, alternate_context=alternate))
    ).eval()


def inputs_of(head: ActionHead, *, seed: int = 0, batch: int = 1, tokens: int = 7) -> LoopInputs:
    generator = torch.Generator().manual_seed(seed)
    config = head.config
    shape = (batch, config.horizon, config.action_size)
    image = torch.zeros(batch, tokens, dtype=torch.bool)
    image[:, :4] = True
    return LoopInputs(
        torch.randn(batch, tokens, config.dit.context_width, generator=generator),
        torch.ones(batch, tokens, dtype=torch.bool),
        image,
        torch.randn(shape, generator=generator),
        torch.ones(shape, dtype=torch.bool),
        torch.randn(batch, config.state_size, generator=generator) if config.state_size else None,
    )


@pytest.mark.parametrize("alternate", [False, True])
@pytest.mark.parametrize("parts", [((1, None),), ((0, torch.tensor([1])), (2, torch.tensor([0, 2])))])
def test_the_loop_draws_nothing_and_reads_nothing_on_the_host(alternate: bool, parts: Any) -> None:
    head = head_of("tiny", alternate=alternate)
    inputs = inputs_of(head, batch=1 if parts[0][1] is None else 3)
    with Capturable():
        head.denoise(inputs, Slots(parts))


def test_the_check_itself_sees_what_it_forbids() -> None:
    slot = torch.tensor([0, 1])
    with Capturable(), pytest.raises(AssertionError, match="unique"):
        Slots.of(slot)
    with Capturable(), pytest.raises(AssertionError, match="cannot be recorded"):
        torch.nn.functional.dropout(torch.ones(3), 0.5, training=True)


def test_the_loop_runs_where_there_are_no_numbers_to_read() -> None:
    head = head_of("tiny").to("meta")
    inputs = LoopInputs(*(part.to("meta") for part in inputs_of(head) if part is not None))
    assert head.denoise(inputs, Slots(((0, None),))).shape == inputs.noise_BHD.shape


def test_a_recorded_loop_gives_what_the_loop_gives_for_every_input() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    head = head_of("tiny").to(device)
    recorded = CapturedLoop(head, most=2)
    for seed, slot, tokens in [(0, 0, 7), (1, 0, 7), (2, 1, 7), (3, 0, 9), (4, 0, 7), (5, 1, 7)]:
        inputs = LoopInputs(
            *(part.to(device) for part in inputs_of(head, seed=seed, tokens=tokens) if part is not None)
        )
        slots = Slots(((slot, None),))
        kept = recorded(inputs, slots)
        recorded(inputs_of_other(inputs), slots)
        assert torch.allclose(kept, head.denoise(inputs, slots), atol=1e-5)


def inputs_of_other(inputs: LoopInputs) -> LoopInputs:
    """The same shapes with other numbers: what was given before must not change with it."""
    return inputs._replace(noise_BHD=inputs.noise_BHD + 1)
