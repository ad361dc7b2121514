"""Bottlenecks: what a latent becomes, and that no choice loses it on the way."""

import pytest
import torch

from lapa.network.quantizer import NoiseSubstitution, Quantizer, QuantizerConfig
from storage.errors import ConfigError, UnknownNameError

KINDS = ("vq", "residual", "fsq", "nsvq")


def trained(kind: str, *, steps: int = 30, size: int = 8) -> Quantizer:
    """A quantizer that saw a few batches of eight clusters."""
    torch.manual_seed(0)
    quantizer = Quantizer(QuantizerConfig(kind=kind, codebook_size=size, levels=(3, 3)), 4)  # type: ignore[arg-type]
    for _ in range(steps):
        quantizer(clusters())
    return quantizer.eval()


def clusters(count: int = 64) -> torch.Tensor:
    centres = torch.tensor([[x, y, z, 0.0] for x in (-3.0, 3.0) for y in (-3.0, 3.0) for z in (-3.0, 3.0)])
    chosen = torch.randint(8, (count, 2))
    return centres[chosen] + 0.05 * torch.randn(count, 2, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_indices_name_the_codes_that_came_out(kind: str) -> None:
    quantizer = trained(kind)
    out = quantizer(clusters())
    assert torch.allclose(quantizer.codes_of(out.indices), out.codes, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_outside_training_equal_latents_give_equal_codes(kind: str) -> None:
    quantizer, latent = trained(kind), clusters()
    one, other = quantizer(latent), quantizer(latent)
    assert torch.equal(one.codes, other.codes)
    assert torch.equal(one.indices, other.indices)


@pytest.mark.parametrize("kind", ["vq", "residual", "nsvq"])
def test_quantising_a_code_gives_the_code_again(kind: str) -> None:
    quantizer = trained(kind)
    once = quantizer(clusters()).codes.detach()
    again = quantizer(once).codes
    assert (again - once).norm(dim=-1).mean() <= (0.3 if kind == "residual" else 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_indices_stay_inside_the_codebook(kind: str) -> None:
    quantizer = trained(kind)
    indices = quantizer(10 * torch.randn(200, 2, 4)).indices
    assert indices.shape == (200, 2 * quantizer.config.indices_per_code)
    assert int(indices.min()) >= 0
    assert int(indices.max()) < quantizer.config.size


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_encoder_through_the_bottleneck(kind: str) -> None:
    quantizer = trained(kind).train()
    latent = clusters().requires_grad_()
    quantizer(latent).codes.square().sum().backward()
    assert latent.grad is not None
    assert latent.grad.abs().sum() > 0


def test_eight_clusters_fill_eight_codes_because_dead_codes_are_revived() -> None:
    quantizer = trained("vq", steps=200)
    assert len(quantizer(clusters(400)).indices.unique()) == 8


def test_without_a_bottleneck_the_latent_passes_unchanged() -> None:
    quantizer, latent = Quantizer(QuantizerConfig(kind="none"), 4), clusters()
    out = quantizer(latent)
    assert torch.equal(out.codes, latent)
    assert out.indices.shape == (64, 0)
    with pytest.raises(ConfigError, match="no codes"):
        quantizer.codes_of(out.indices)


def test_noise_substitution_keeps_the_length_of_the_error() -> None:
    torch.manual_seed(0)
    layer = NoiseSubstitution(QuantizerConfig(kind="nsvq", codebook_size=8), 4).train()
    latent = torch.randn(32, 2, 4)
    substituted, indices = layer(latent)
    error = (latent - layer.codebook[indices]).norm(dim=-1)
    assert torch.allclose((substituted - latent).norm(dim=-1), error, atol=1e-5)


def test_noise_substitution_replaces_dead_codes_and_stops_when_told() -> None:
    torch.manual_seed(0)
    config = QuantizerConfig(kind="nsvq", codebook_size=8, nsvq_replace_every=5, nsvq_replace_until=10)
    layer = NoiseSubstitution(config, 4).train()
    with torch.no_grad():
        layer.codebook[1:] += 1000.0
    for _ in range(10):
        layer(0.01 * torch.randn(16, 2, 4))
    assert layer.codebook.abs().max() < 100
    with torch.no_grad():
        layer.codebook[1:] += 1000.0
    for _ in range(10):
        layer(0.01 * torch.randn(16, 2, 4))
    assert layer.codebook.abs().max() > 900


def test_fsq_with_a_level_of_two_is_symmetric() -> None:
    quantizer = Quantizer(QuantizerConfig(kind="fsq", levels=(2, 2)), 2).eval()
    latent = torch.tensor([[[1.0, 1.0]]])
    assert torch.allclose(quantizer(latent).codes, -quantizer(-latent).codes)


def test_wrong_settings_say_what_was_expected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean fsq"):
        QuantizerConfig(kind="fsqq")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="each 2 or more"):
        QuantizerConfig(kind="fsq", levels=(4, 1))
    with pytest.raises(ConfigError, match="at least 2 codes"):
        QuantizerConfig(codebook_size=1)
