"""Features of a frozen tower in place of pixels, with tiny random towers read back by path."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lapa.fitting.fit import LapaFit
from lapa.labelling.saved_model import build_model, load_lapa
from lapa.network.decoder import DecoderConfig
from lapa.network.encoder import LapaEncoderConfig
from lapa.network.frozen_backbones import load_tower
from lapa.network.losses import LapaLossConfig
from lapa.network.model import LapaConfig
from lapa.presets import tiny
from lapa.testing import fit_tiny, moving_clips, tiny_fit_config
from storage.errors import ConfigError, MissingFileError

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}


@pytest.fixture(scope="module", params=["dinov2", "siglip"])
def tower_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    model: Any
    if request.param == "siglip":
        config = transformers.SiglipVisionConfig(**SMALL, intermediate_size=32, image_size=32)
        model = transformers.SiglipVisionModel(config)
    else:
        settings = transformers.Dinov2WithRegistersConfig(**SMALL, image_size=32, num_register_tokens=4)
        model = transformers.Dinov2WithRegistersModel(settings)
    model.save_pretrained(folder)
    return folder


def feature_config(tower: Path) -> LapaConfig:
    return replace(
        tiny(),
        tower=str(tower),
        encoder=LapaEncoderConfig(stem="patch", patch_px=1, width=16, heads=2, second_input="later", readout="queries"),
        decoder=DecoderConfig(kind="transformer", patch_px=1, width=16, heads=2, depth=1),
    )


def test_features_are_one_vector_a_patch_without_class_and_register_tokens(tower_path: Path) -> None:
    tower = load_tower(str(tower_path), (32, 48))
    features = tower(torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8))
    assert features.shape == (2, 16, 4, 6)
    assert torch.allclose(features.mean(dim=1), torch.zeros(2, 4, 6), atol=1e-5)


def test_a_model_in_feature_space_trains_and_comes_back_without_the_tower_in_its_weights(
    tower_path: Path, tmp_path: Path
) -> None:
    config = replace(tiny_fit_config(steps=2), model=feature_config(tower_path), loss=LapaLossConfig(scale=1.0))
    fit: LapaFit = fit_tiny(tmp_path / "model", config)
    loaded = load_lapa(tmp_path / "model")
    assert not any("tower" in name for name in loaded.network.state_dict())
    images = torch.from_numpy(moving_clips(range(1))[0].frames_of(range(2)))
    frames = loaded.network.look(images)
    assert frames.shape == (2, 16, 4, 4)
    assert torch.allclose(
        loaded.network(frames, frames.flip(0)).latent, fit.model.network(frames, frames.flip(0)).latent
    )


def test_a_tower_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingFileError, match="no image tower at '/nowhere'"):
        build_model(feature_config(Path("/nowhere")))


def test_frames_smaller_than_a_patch_are_refused(tower_path: Path) -> None:
    with pytest.raises(ConfigError, match="hold no patch of 8 px"):
        load_tower(str(tower_path), (4, 32))
