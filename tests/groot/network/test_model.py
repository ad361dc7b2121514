"""The whole model: masks, embodiment slots, determinism, and that it learns."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from groot.encoders.context_tokens import Tokens
from groot.fit import FitConfig, fit
from groot.network.backbone import text_bytes
from groot.network.model import ActionHead, Groot, groot_loss
from groot.presets import preset
from storage.errors import ConfigError, SchemaError


def tiny_batch(batch: int = 3, *, views: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "images": torch.randint(0, 255, (batch, views, 32, 32, 3), generator=generator, dtype=torch.uint8),
        "text": text_bytes(["pick up the cup", "go", ""][:batch]),
        "state": torch.randn(batch, 5, generator=generator),
        "actions": torch.randn(batch, 6, 4, generator=generator),
        "mask": torch.ones(batch, 6, 4, dtype=torch.bool),
        "slot": torch.tensor([0, 1, 0][:batch]),
        "target_xy": torch.rand(batch, 2, generator=generator),
        "target_valid": torch.ones(batch, dtype=torch.bool),
        "future_images": torch.randint(0, 255, (batch, views, 32, 32, 3), generator=generator, dtype=torch.uint8),
    }


def tiny_model() -> Groot:
    torch.manual_seed(0)
    return Groot(preset("tiny")).eval()


def tiny_tokens(batch: int = 2) -> Tokens:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(batch, 7, 16, generator=generator)
    mask = torch.ones(batch, 7, dtype=torch.bool)
    image = torch.zeros(batch, 7, dtype=torch.bool)
    image[:, :4] = True
    return Tokens(values, mask, image)


def velocity(head: ActionHead, tokens: Tokens, noisy: Tensor, **options: Any) -> Tensor:
    return head.velocity(
        noisy,
        torch.full((len(noisy),), 0.3),
        context_BSC=head.context(tokens),
        tokens=tokens,
        slot_B=torch.tensor([0, 1]),
        state_BP=torch.ones(2, 5),
        **options,
    )[0]


@pytest.mark.parametrize("alternate", [False, True])
def test_padded_context_tokens_change_nothing(alternate: bool) -> None:
    config = preset("tiny").head
    torch.manual_seed(0)
    head = ActionHead(replace(config, dit=replace(config.dit, alternate_context=alternate), adapter=(1, 2, 8))).eval()
    tokens, noisy = tiny_tokens(), torch.randn(2, 6, 4)
    garbage = torch.full((2, 3, 16), 50.0)
    none = torch.zeros(2, 3, dtype=torch.bool)
    padded = Tokens(
        torch.cat([tokens.values_BSC, garbage], 1),
        torch.cat([tokens.mask_BS, none], 1),
        torch.cat([tokens.image_BS, ~none], 1),
    )
    assert torch.allclose(velocity(head, tokens, noisy), velocity(head, padded, noisy), atol=1e-5)


def test_padded_steps_of_the_chunk_change_nothing() -> None:
    head = tiny_model().head
    noisy = torch.randn(2, 6, 4)
    steps = torch.ones(2, 6, dtype=torch.bool)
    steps[:, 4:] = False
    changed = noisy.clone()
    changed[:, 4:] = 99.0
    one = velocity(head, tiny_tokens(), noisy, step_mask_BH=steps)
    other = velocity(head, tiny_tokens(), changed, step_mask_BH=steps)
    assert torch.allclose(one[:, :4], other[:, :4], atol=1e-5)
    whole = velocity(head, tiny_tokens(), noisy)
    assert not torch.allclose(one[:, :4], whole[:, :4], atol=1e-5), "without the mask the padding would count"


def test_a_missing_view_and_empty_text_are_masked() -> None:
    model, batch = tiny_model(), tiny_batch()
    batch["view_mask"] = torch.tensor([[True, True], [True, False], [True, True]])
    changed = {**batch, "images": batch["images"].clone()}
    changed["images"][1, 1] = 255
    noise = torch.randn(3, 6, 4)
    assert torch.allclose(model.act(batch, noise_BHD=noise), model.act(changed, noise_BHD=noise), atol=1e-5)


def test_a_context_without_text_gives_no_nan_in_the_alternating_variant() -> None:
    config = preset("tiny").head
    head = ActionHead(replace(config, dit=replace(config.dit, alternate_context=True))).eval()
    tokens = tiny_tokens()
    only_images = tokens._replace(image_BS=torch.ones_like(tokens.image_BS))
    assert torch.isfinite(velocity(head, only_images, torch.randn(2, 6, 4))).all()


def test_samples_do_not_depend_on_their_neighbours_in_the_batch() -> None:
    model, batch = tiny_model(), tiny_batch()
    noise = torch.randn(3, 6, 4)
    together = model.act(batch, noise_BHD=noise)
    for row in range(3):
        alone = {name: value[row : row + 1] for name, value in batch.items()}
        assert torch.allclose(model.act(alone, noise_BHD=noise[row : row + 1])[0], together[row], atol=1e-5)


def test_embodiments_have_weights_of_their_own() -> None:
    model, batch = tiny_model().train(), tiny_batch()
    model.losses(batch)["loss"].backward()
    gradient = model.head.action_decoder.second.weight.grad
    assert gradient is not None
    assert gradient[0].any()
    assert gradient[1].any()
    assert not gradient[2].any(), "no sample of the batch belongs to slot 2"


def test_every_trained_part_gets_a_gradient() -> None:
    model = tiny_model().train()
    losses = model.losses(tiny_batch())
    losses["loss"].backward()
    assert set(losses) == {"loss", "flow", "detection", "future"}
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_gradient_checkpointing_changes_nothing() -> None:
    config = preset("tiny")
    batch = tiny_batch()
    losses = []
    for checkpointing in (False, True):
        dit = replace(config.head.dit, gradient_checkpointing=checkpointing)
        torch.manual_seed(0)
        model = Groot(replace(config, head=replace(config.head, dit=dit))).train()
        torch.manual_seed(1)
        loss = model.losses(batch)["loss"]
        loss.backward()
        weight = model.head.dit.out.weight.grad
        assert weight is not None
        losses.append((float(loss.detach()), weight.clone()))
    assert losses[0][0] == losses[1][0]
    assert torch.allclose(losses[0][1], losses[1][1])


def test_the_tiny_model_learns_a_chunk_from_an_image() -> None:
    config = replace(preset("tiny"), detection_weight=0.0, future_weight=0.0)
    torch.manual_seed(0)
    model = Groot(config)

    def batches(position: Any) -> Any:
        step = position.step
        while True:
            rng = np.random.default_rng(step)
            level = rng.uniform(-1, 1, size=(32, 1, 1)).astype(np.float32)
            images = np.broadcast_to((level[..., None, None] + 1) * 100 + 20, (32, 1, 32, 32, 3)).astype(np.uint8)
            actions = np.broadcast_to(level, (32, 6, 4)).copy()
            yield {
                "images": images.copy(),
                "state": np.zeros((32, 5), np.float32),
                "actions": actions,
                "mask": np.ones((32, 6, 4), bool),
                "slot": np.zeros(32, np.int64),
            }
            step += 1

    fit(model, FitConfig(steps=250, learning_rate=3e-3, log_every=250), loss=groot_loss, batches=batches)
    batch = {name: torch.from_numpy(value) for name, value in next(batches(type("P", (), {"step": 9999}))).items()}
    model.eval()
    torch.manual_seed(0)
    predicted = torch.stack([model.act(batch) for _ in range(4)]).mean(dim=0)
    r2 = 1 - ((predicted - batch["actions"]) ** 2).mean() / batch["actions"].var()
    assert float(r2) > 0.7


def test_wrong_images_states_and_sizes_are_refused() -> None:
    model, batch = tiny_model(), tiny_batch()
    with pytest.raises(SchemaError, match="uint8"):
        model.act({**batch, "images": batch["images"].to(torch.int64)})
    with pytest.raises(SchemaError, match="state of 5"):
        model.act({name: value for name, value in batch.items() if name != "state"})
    config = preset("tiny").backbone
    with pytest.raises(ConfigError, match="16 divides"):
        Groot(replace(preset("tiny"), backbone=replace(config, image_px=(30, 32))))
