"""The training loop: exact resume, early reports, refusals."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from groot.fit import FitConfig, Position, fit
from storage.errors import ConfigError, WorkFailedError

CONFIG = FitConfig(steps=4, learning_rate=1e-2, log_every=1, average_decay=0.9)


def line_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def line_batches(position: Position) -> Iterator[Mapping[str, np.ndarray]]:
    step = position.step
    while True:
        x = np.random.default_rng([step, position.process]).normal(size=(16, 3)).astype(np.float32)
        yield {"x": x, "y": x.sum(axis=1, keepdims=True)}
        step += 1


def noisy_loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
    error = model(batch["x"]) - batch["y"] + 0.01 * torch.randn_like(batch["y"])
    return {"loss": (error**2).mean(), "bias": error.mean().abs()}


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_steps_and_resume_and_two_steps_equal_four_steps(tmp_path: Path, accumulate: int) -> None:
    config = replace(CONFIG, accumulate=accumulate)
    straight = line_model()
    whole = fit(straight, config, loss=noisy_loss, batches=line_batches)

    first = line_model()
    fit(first, config, loss=noisy_loss, batches=line_batches, folder=tmp_path, stop_at=2)
    second = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    resumed = fit(second, config, loss=noisy_loss, batches=line_batches, folder=tmp_path)

    assert torch.equal(weights(straight), weights(second))
    assert [h["loss"] for h in whole.history] == [h["loss"] for h in resumed.history]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    model = line_model()
    fit(model, CONFIG, loss=noisy_loss, batches=line_batches, folder=tmp_path)
    before = weights(model)
    fit(model, CONFIG, loss=noisy_loss, batches=line_batches, folder=tmp_path)
    assert torch.equal(before, weights(model))


def test_resuming_with_another_config_is_refused(tmp_path: Path) -> None:
    fit(line_model(), CONFIG, loss=noisy_loss, batches=line_batches, folder=tmp_path, stop_at=2)
    with pytest.raises(ConfigError, match="another training config"):
        fit(line_model(), replace(CONFIG, learning_rate=1.0), loss=noisy_loss, batches=line_batches, folder=tmp_path)


def test_resuming_on_other_data_is_refused(tmp_path: Path) -> None:
    fit(line_model(), CONFIG, loss=noisy_loss, batches=line_batches, folder=tmp_path, identity=("a",), stop_at=2)
    with pytest.raises(ConfigError, match="another"):
        fit(line_model(), CONFIG, loss=noisy_loss, batches=line_batches, folder=tmp_path, identity=("b",))


def test_training_learns_and_validation_sees_the_averaged_weights() -> None:
    model = line_model()
    seen: list[Tensor] = []

    def validate(candidate: nn.Module) -> dict[str, float]:
        assert not candidate.training
        seen.append(weights(candidate))
        batch = next(line_batches(Position(step=10_000)))
        return {"error": float(((candidate(torch.from_numpy(batch["x"])) - torch.from_numpy(batch["y"])) ** 2).mean())}

    config = replace(CONFIG, steps=300, log_every=100, learning_rate=3e-2)
    result = fit(model, config, loss=noisy_loss, batches=line_batches, validate=validate)
    assert result.figures["error"] < 0.5
    assert torch.equal(seen[-1], weights(model))


def test_a_stop_rule_ends_the_run_and_says_why() -> None:
    result = fit(
        line_model(),
        replace(CONFIG, validate_every=1),
        loss=noisy_loss,
        batches=line_batches,
        validate=lambda model: {"use": 0.1},
        stop_when=lambda step, figures: "collapsed" if step == 2 and figures["use"] < 0.5 else "",
    )
    assert (result.steps, result.stopped) == (2, "collapsed")


def test_a_loss_that_is_not_finite_is_reported_with_its_step() -> None:
    def bad(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        return {"loss": model(batch["x"]).mean() * float("nan")}

    with pytest.raises(WorkFailedError, match="not finite at step 0"):
        fit(line_model(), CONFIG, loss=bad, batches=line_batches)


def test_findings_about_the_first_batches_are_kept_once() -> None:
    result = fit(
        line_model(), CONFIG, loss=noisy_loss, batches=line_batches, inspect=lambda batch: ["target 3 never changes"]
    )
    assert result.findings == ("target 3 never changes",)


def test_frozen_parameters_stay() -> None:
    model = line_model()
    first = model[0]
    assert isinstance(first, nn.Linear)
    first.requires_grad_(False)
    before = first.weight.clone()
    fit(model, CONFIG, loss=noisy_loss, batches=line_batches)
    assert torch.equal(before, first.weight)


def test_bfloat16_runs_and_keeps_the_weights_in_float32() -> None:
    model = line_model()
    fit(model, replace(CONFIG, precision="bf16"), loss=noisy_loss, batches=line_batches)
    assert weights(model).dtype == torch.float32


def test_the_rate_warms_up_then_falls_to_nothing() -> None:
    config = FitConfig(steps=100, learning_rate=1.0)
    rates = [config.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[5] == 1.0
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[99] < 1e-3


def test_a_config_out_of_range_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="average_decay"):
        FitConfig(steps=1, average_decay=1.5)
