"""The encoder: once a frame equals once a window, and folding changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from groot.presets import BackboneConfig
from idm.labelling.predict_clip import TorchNetwork
from idm.network.encoder import FrameEncoder, IdmEncoderConfig, PairTrunk, TowerEncoder, TowerTrunk, folded
from idm.network.model import Idm
from idm.presets import preset
from storage.errors import ConfigError

SMALL = IdmEncoderConfig(image_px=(32, 48), width=16, blocks=(1, 2, 1), trunk_width=16, token_width=24)


def images(count: int) -> torch.Tensor:
    return torch.randint(0, 255, (count, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trained_a_little(module: torch.nn.Module) -> torch.nn.Module:
    """Batch norms with statistics and weights that are not the initial ones."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, std=0.2)
            torch.nn.init.normal_(part.running_mean, std=0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(part.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return module.eval()


@torch.no_grad()
def test_features_of_a_frame_do_not_depend_on_the_frames_beside_it() -> None:
    encoder = trained_a_little(FrameEncoder(SMALL))
    together = encoder(images(6))
    for one, all_of_them in zip(encoder(images(6)[4:5]), together, strict=True):
        assert torch.allclose(one, all_of_them[4:5], atol=1e-5)


@torch.no_grad()
def test_folding_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    model = trained_a_little(Idm(replace(preset("tiny"), encoder=SMALL)))
    assert isinstance(model, Idm)
    fast = folded(model)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in fast.modules())
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules()), "the model itself is left alone"
    for plain, quick in zip(model.encode(images(4)), fast.encode(images(4)), strict=True):  # type: ignore[operator]
        assert torch.allclose(plain, quick, atol=1e-4)


def test_the_network_gives_the_same_opinion_in_portions_of_any_size() -> None:
    torch.manual_seed(0)
    model = trained_a_little(Idm(replace(preset("tiny"), encoder=SMALL)))
    assert isinstance(model, Idm)
    pictures = images(12).numpy()[:, None]
    predicted = []
    for at_once in (1, 5, 64):
        network = TorchNetwork(model, at_once=at_once)
        features = network.encode(pictures)
        now, later = tuple(f[:10] for f in features), tuple(f[2:] for f in features)
        predicted.append(network.predict(now, later, slot=0, views=1))
    for other in predicted[1:]:
        for a, b in zip(predicted[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


@torch.no_grad()
def test_equal_frames_differ_from_moved_ones_in_the_trunk() -> None:
    torch.manual_seed(0)
    encoder, trunk = trained_a_little(FrameEncoder(SMALL)), trained_a_little(PairTrunk(SMALL))
    features = encoder(images(2))
    first, second = tuple(f[:1] for f in features), tuple(f[1:] for f in features)
    first, second = trunk.project(first), trunk.project(second)  # type: ignore[operator]
    assert not torch.allclose(trunk(first, first), trunk(first, second), atol=1e-3)
    assert not torch.allclose(trunk(first, second), trunk(second, first), atol=1e-3), "time has a direction"


def test_a_pretrained_tower_may_take_the_place_of_our_encoder() -> None:
    tower = BackboneConfig(kind="vision", source="random/siglip2", width=32, image_px=(32, 48))
    encoder, trunk = TowerEncoder(tower), TowerTrunk(32, 24)
    features = encoder(images(3))
    assert features[0].shape == (3, 32, 4, 6)
    assert trunk(trunk.project(features), trunk.project(features)).shape == (3, 16, 24)
    config = replace(preset("tiny"), encoder=SMALL, tower=tower, head="flow")
    network = TorchNetwork(Idm(config))
    found = network.encode(images(4).numpy()[:, None])
    predicted = network.predict(tuple(f[:3] for f in found), tuple(f[1:] for f in found), slot=0, views=1)
    assert predicted.motion.shape == (config.samples, 3, config.chunk_steps, 7)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="divisible by 16"):
        IdmEncoderConfig(image_px=(30, 32))
    with pytest.raises(ConfigError, match="widths"):
        IdmEncoderConfig(width=20)
