"""The model: what it looks at, what it starts as, and what may not leak."""

import json
from dataclasses import replace

import pytest
import torch

from groot.checkpoint import on_meta_device, parameter_count
from lapa.network.decoder import DecoderConfig
from lapa.network.encoder import LapaEncoderConfig
from lapa.network.model import LapaConfig, LatentActionModel
from lapa.presets import PRESETS, tiny
from storage.errors import ConfigError, SchemaError, UnknownNameError

ENCODERS = {
    "difference, flat": LapaEncoderConfig(conv_widths=(8, 16), width=16, heads=2),
    "later, queries": LapaEncoderConfig(
        conv_widths=(8, 16), width=16, heads=2, second_input="later", readout="queries"
    ),
    "patches, cells": LapaEncoderConfig(
        stem="patch", patch_px=8, width=16, heads=2, second_input="later", readout="cells", spatial_depth=2
    ),
}
DECODERS = {
    "unet": DecoderConfig(widths=(8, 16)),
    "transformer": DecoderConfig(kind="transformer", patch_px=8, width=16, heads=2),
}


def tiny_model(encoder: str = "difference, flat", decoder: str = "unet", codes: int = 4) -> LatentActionModel:
    torch.manual_seed(0)
    config = replace(tiny(), codes=codes, encoder=ENCODERS[encoder], decoder=DECODERS[decoder])
    return LatentActionModel(config)


def frames(model: LatentActionModel, count: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, model.config.height_px, model.config.width_px, 3)
    return model.look(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_pairing_of_parts_gives_the_shapes_it_promises(encoder: str, decoder: str) -> None:
    model = tiny_model(encoder, decoder)
    now, later = frames(model), frames(model, seed=1)
    pair = model(now, later)
    assert pair.latent.shape == pair.codes.shape == (6, 4, 4)
    assert pair.indices.shape == (6, 4)
    assert pair.predicted.shape == now.shape


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_untrained_decoder_copies_the_present_frame(decoder: str) -> None:
    model = tiny_model(decoder=decoder)
    now = frames(model)
    assert torch.allclose(model.decode(now, torch.randn(6, 4, 4)), now, atol=0.02)


@pytest.mark.parametrize("decoder", DECODERS)
def test_no_gradient_reaches_the_present_frame_through_the_decoder(decoder: str) -> None:
    model = tiny_model(decoder=decoder)
    now = frames(model).requires_grad_()
    codes = torch.randn(6, 4, 4, requires_grad=True)
    (model.decode(now, codes) * torch.randn_like(now)).sum().backward()
    assert now.grad is None
    assert codes.grad is not None


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoding_frames_once_and_pairing_them_equals_encoding_pairs(encoder: str) -> None:
    model = tiny_model(encoder).eval()
    clip = frames(model, 8)
    of_frame = model.encoder.of_frame(clip)
    assert torch.allclose(
        model.encoder.of_pair(of_frame[:5], of_frame[3:]), model.encoder(clip[:5], clip[3:]), atol=1e-5
    )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_pair_is_encoded_alike_in_any_company(encoder: str) -> None:
    model = tiny_model(encoder).eval()
    now, later = frames(model), frames(model, seed=1)
    together = model.encoder(now, later)
    assert torch.allclose(together[2:3], model.encoder(now[2:3], later[2:3]), atol=1e-5)


@pytest.mark.parametrize("encoder", ["later, queries", "patches, cells"])
def test_two_equal_frames_differ_by_their_place_in_time_only(encoder: str) -> None:
    """What two equal frames give must not depend on scenery through a late difference of equal tokens: it is small
    beside what two different frames give."""
    model = tiny_model(encoder).eval()
    now, later = frames(model), frames(model, seed=1)
    still = model.encoder(now, now).std(dim=0).mean()
    moved = model.encoder(now, later).std(dim=0).mean()
    assert still < moved


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_json(name: str) -> None:
    config = replace(PRESETS[name](), labels={"panda": 7})
    assert LapaConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_the_faithful_preset_has_the_published_size() -> None:
    published = 343.8e6  # the released laq_openx, table 1 of LARYBench (arXiv 2604.11689)
    model = on_meta_device(LatentActionModel, PRESETS["lapa"]())
    assert abs(parameter_count(model) / published - 1) < 0.02


@pytest.mark.parametrize(("name", "codebook", "length"), [("lapa", 8, 4), ("groot_n1", 8, 16)])
def test_presets_have_the_published_codebooks(name: str, codebook: int, length: int) -> None:
    config = PRESETS[name]()
    assert (config.quantizer.size, config.codes) == (codebook, length)


def test_images_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(SchemaError, match=r"uint8 images \(B, 32, 32, 3\); got torch.uint8 \(1, 16, 32, 3\)"):
        tiny_model().look(torch.zeros(1, 16, 32, 3, dtype=torch.uint8))


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="square number of codes; got 3"):
        tiny_model("patches, cells", codes=3)
    with pytest.raises(ConfigError, match="do not divide into patches of 8"):
        LatentActionModel(replace(tiny(), height_px=36, decoder=DECODERS["transformer"]))
    with pytest.raises(UnknownNameError, match="did you mean difference"):
        LapaEncoderConfig(second_input="differences")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="names the tower"):
        LatentActionModel(replace(tiny(), tower="somewhere"))
