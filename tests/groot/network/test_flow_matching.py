"""Flow matching: the path, the times, the loss and its masks."""

import math

import pytest
import torch

from groot.network.flow_matching import FlowConfig, draw_tau, flow_loss, integrate, noisy
from storage.errors import ConfigError


def test_the_path_leads_from_noise_to_the_actions() -> None:
    actions, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(noisy(actions, noise, torch.zeros(2)), noise)
    assert torch.equal(noisy(actions, noise, torch.ones(2)), actions)


def test_euler_steps_along_the_true_velocity_arrive_exactly() -> None:
    actions, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    for steps in (1, 4, 16):
        arrived = integrate(lambda x, tau: actions - noise, noise, mask, FlowConfig(euler_steps=steps))
        assert torch.allclose(arrived, actions, atol=1e-5)


def test_times_follow_the_distribution_of_the_paper() -> None:
    torch.manual_seed(0)
    tau = draw_tau(FlowConfig(), 200_000)
    assert float(tau.min()) >= 0
    assert float(tau.max()) <= 0.999
    # (s - tau) / s is Beta(1.5, 1), whose mean is 0.6 and whose density grows towards 1: noisy samples are favoured.
    assert float(tau.mean()) == pytest.approx(0.999 * 0.4, abs=2e-3)
    assert float(((0.999 - tau) / 0.999).pow(1.5).mean()) == pytest.approx(0.5, abs=3e-3)


def test_masked_numbers_change_neither_loss_nor_gradient() -> None:
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    mask[:, 2:], mask[:, :, 3] = False, False
    actions = torch.randn(2, 3, 4)
    weight = torch.ones(4, requires_grad=True)
    results = []
    for garbage in (0.0, 1e6, math.nan):
        spoilt = torch.where(mask, actions, torch.full_like(actions, garbage))
        torch.manual_seed(1)
        weight.grad = None
        loss = flow_loss(lambda x, tau: x * weight, spoilt, mask, FlowConfig())
        loss.backward()
        assert weight.grad is not None
        results.append((float(loss.detach()), weight.grad.clone()))
    assert results[0][0] == results[1][0] == results[2][0]
    assert torch.equal(results[0][1], results[2][1])
    assert results[0][1][3] == 0


def test_masked_numbers_are_sampled_as_zero() -> None:
    mask = torch.ones(1, 3, 4, dtype=torch.bool)
    mask[:, 1] = False
    sample = integrate(lambda x, tau: torch.ones_like(x), torch.randn(1, 3, 4), mask, FlowConfig())
    assert not sample[:, 1].any()
    assert sample[:, 0].all()


def test_a_config_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="euler_steps"):
        FlowConfig(euler_steps=0)
