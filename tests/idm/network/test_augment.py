"""Augmentations: both frames alike, nothing else."""

from dataclasses import replace

import pytest
import torch

from idm.network.augment import AugmentConfig, augmented
from storage.errors import ConfigError

STILL = AugmentConfig(
    shift=0.0, turn_rad=0.0, zoom=0.0, brightness=0.0, contrast=0.0, tint=0.0, noise=0.0, covered_share=0.0
)


def pixels(batch: int = 6) -> torch.Tensor:
    frame = torch.rand(batch, 1, 2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    return frame.expand(-1, 2, -1, -1, -1, -1).clone()


def test_no_augmentation_changes_nothing() -> None:
    result, covered = augmented(pixels(), STILL)
    torch.testing.assert_close(result, pixels())
    assert not covered.any()


@pytest.mark.parametrize("name", ["shift", "turn_rad", "zoom", "brightness", "contrast", "tint", "covered_share"])
def test_equal_frames_stay_equal_and_windows_differ(name: str) -> None:
    torch.manual_seed(0)
    strength = 1.0 if name == "covered_share" else 0.2
    result, covered = augmented(pixels(), AugmentConfig(**{**vars(STILL), name: strength}))
    torch.testing.assert_close(result[:, 0], result[:, 1])
    assert not torch.allclose(result, pixels(), atol=1e-3)
    assert bool(covered.all()) == (name == "covered_share")


def test_a_shift_is_a_shift() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 48).expand(4, 2, 1, 3, 32, 48).clone()
    result, _ = augmented(ramp, AugmentConfig(**{**vars(STILL), "shift": 0.1}))
    inner = result[..., 8:-8] - ramp[..., 8:-8]
    assert float(inner.flatten(1).std(dim=1).max()) < 1e-2, "a ramp moved sideways is a ramp plus a constant"
    assert float(inner.abs().max()) < 0.11


def test_noise_differs_between_windows_and_frames_and_some_windows_have_none() -> None:
    torch.manual_seed(0)
    noise = augmented(pixels(40), replace(STILL, noise=0.01, noise_share=0.5))[0] - pixels(40)
    size = noise.flatten(1).std(dim=1)
    noisy = size > 0
    assert 10 < int(noisy.sum()) < 30
    torch.testing.assert_close(size[noisy], torch.full_like(size[noisy], 0.01), rtol=0.05, atol=0.0)
    frames = noise[noisy].flatten(0, 1).flatten(1)
    likeness = torch.corrcoef(frames) - torch.eye(len(frames))
    assert float(likeness.abs().max()) < 0.1


def test_the_pictures_that_come_in_are_left_alone() -> None:
    given = pixels()
    augmented(given, AugmentConfig(covered_share=1.0))
    torch.testing.assert_close(given, pixels())


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="zoom"):
        AugmentConfig(zoom=1.5)
