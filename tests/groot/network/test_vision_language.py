"""Pretrained encoders, here tiny random ones saved to a folder and read back by path."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from groot.network.backbone import build_backbone
from groot.presets import BackboneConfig
from storage.errors import ConfigError, MissingFileError

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8}


def saved_tower(folder: Path, family: str) -> Path:
    torch.manual_seed(0)
    model: Any
    if family == "siglip":
        model = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SMALL, image_size=32))
    elif family == "naflex":
        model = transformers.Siglip2VisionModel(transformers.Siglip2VisionConfig(**SMALL, num_patches=16))
    else:
        sizes = {name: value for name, value in SMALL.items() if name != "intermediate_size"}
        settings = transformers.Dinov2WithRegistersConfig(**sizes, image_size=32, num_register_tokens=4)
        model = transformers.Dinov2WithRegistersModel(settings)
    model.save_pretrained(folder)
    return folder


def saved_vlm(folder: Path) -> Path:
    torch.manual_seed(0)
    text = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1]},
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "num_heads": 4,
        "intermediate_size": 64,
        "out_hidden_size": 32,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "deepstack_visual_indexes": [0],
        "num_position_embeddings": 16,
    }
    ids = {"image_token_id": 60, "vision_start_token_id": 61, "vision_end_token_id": 62, "video_token_id": 63}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
    transformers.Qwen3VLModel(config).save_pretrained(folder)
    return folder


def vlm_inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.tensor([[1, 61, 60, 60, 60, 60, 62, 5, 6], [1, 61, 60, 60, 60, 60, 62, 7, 0]])
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "pixel_values": torch.randn(32, 3 * 2 * 8 * 8, generator=generator),
        "image_grid_thw": torch.tensor([[1, 4, 4], [1, 4, 4]]),
        "mm_token_type_ids": (ids == 60).int(),
    }


def saved_other_vlm(folder: Path, family: str) -> Path:
    """SmolVLM, or InternVL: the shape of Eagle-2 (a tower, a perceptron, a Qwen2 language model)."""
    torch.manual_seed(0)
    text = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    model: Any
    if family == "smolvlm":
        settings = transformers.SmolVLMConfig(
            text_config={**text, "model_type": "llama", "pad_token_id": 0},
            vision_config={**SMALL, "image_size": 32},
            scale_factor=2,
            image_token_id=60,
            pad_token_id=0,
        )
        model = transformers.SmolVLMModel(settings)
    else:
        vision = {**SMALL, "patch_size": [8, 8], "image_size": [32, 32]}
        settings = transformers.InternVLConfig(
            text_config={**text, "model_type": "qwen2"}, vision_config=vision, image_token_id=60, downsample_ratio=0.5
        )
        model = transformers.InternVLModel(settings)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["siglip", "naflex", "dino"])
@pytest.mark.parametrize("layer", [0, 1])
def test_image_towers_give_one_token_a_patch(tmp_path: Path, family: str, layer: int) -> None:
    config = BackboneConfig(
        kind="vision", source=str(saved_tower(tmp_path, family)), width=32, image_px=(32, 48), layer=layer
    )
    tower = build_backbone(config).eval()
    images = torch.randint(0, 255, (2, 3, 40, 60, 3), dtype=torch.uint8)
    tokens = tower({"images": images})
    assert tokens.values_BSC.shape == (2, 3 * 4 * 6, 32)
    assert tokens.mask_BS.all()
    assert not any(p.requires_grad for p in tower.parameters())


def test_views_are_encoded_alone_and_missing_ones_are_masked(tmp_path: Path) -> None:
    config = BackboneConfig(kind="vision", source=str(saved_tower(tmp_path, "dino")), width=16, image_px=(32, 32))
    tower = build_backbone(config).eval()
    images = torch.randint(0, 255, (2, 2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        both = tower({"images": images, "view_mask": torch.tensor([[True, True], [True, False]])})
        first = tower({"images": images[:, :1]})
    assert torch.allclose(both.values_BSC[:, :16], first.values_BSC, atol=1e-5)
    assert both.mask_BS.sum(dim=1).tolist() == [32, 16]


@pytest.mark.parametrize("family", ["dinov2", "siglip2"])
def test_random_towers_are_the_same_every_time_and_need_no_file(family: str) -> None:
    config = BackboneConfig(kind="vision", source=f"random/{family}", width=32, image_px=(32, 48))
    images = torch.randint(0, 255, (2, 32, 48, 3), dtype=torch.uint8)
    one, other = (build_backbone(config).eval() for _ in range(2))
    with torch.no_grad():
        features = one.patches(images)
        assert torch.equal(features, other.patches(images))
        assert torch.allclose(features, one.patches(images.float() / 255), atol=1e-5)
    assert one.grid == (4, 6)
    assert features.shape == (2, 24, 32)


def test_normalisation_follows_the_checkpoint(tmp_path: Path) -> None:
    folder = saved_tower(tmp_path, "siglip")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1] * 3, "image_std": [0.2] * 3}))
    tower = build_backbone(BackboneConfig(kind="vision", source=str(folder), width=32, image_px=(32, 32)))
    assert tower.get_buffer("mean").flatten().tolist() == pytest.approx([0.1] * 3)


def test_a_vision_language_model_is_cut_at_its_layer_and_frozen_but_for_the_top(tmp_path: Path) -> None:
    config = BackboneConfig(kind="vlm", source=str(saved_vlm(tmp_path)), width=32, layer=3, tune_top=1)
    model: Any = build_backbone(config).eval()
    tokens = model({"vlm": vlm_inputs()})
    assert tokens.values_BSC.shape == (2, 9, 32)
    assert tokens.image_BS.sum(dim=1).tolist() == [4, 4]
    assert tokens.mask_BS.sum(dim=1).tolist() == [9, 8]
    layers = model.model.language_model.layers
    assert isinstance(layers, nn.ModuleList)
    assert len(layers) == 3
    trained = {name.split(".layers.")[-1].split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"2"}


@pytest.mark.parametrize("family", ["smolvlm", "eagle2"])
def test_other_classes_give_the_features_of_a_middle_layer(tmp_path: Path, family: str) -> None:
    source = str(saved_other_vlm(tmp_path, family))
    model: Any = build_backbone(BackboneConfig(kind="vlm", source=source, width=16, layer=3, tune_top=1)).eval()
    ids = torch.tensor([[1, 60, 60, 60, 60, 5, 6], [1, 60, 60, 60, 60, 7, 0]])
    pixels = torch.randn((2, 1, 3, 32, 32) if family == "smolvlm" else (2, 3, 32, 32))
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long(), "pixel_values": pixels}
    tokens = model({"vlm": inputs})
    assert tokens.values_BSC.shape == (2, 7, 16)
    assert tokens.image_BS.sum(dim=1).tolist() == [4, 4]
    assert torch.isfinite(tokens.values_BSC).all()
    assert {len(model._layers())} == {3}
    changed = model({"vlm": {**inputs, "pixel_values": pixels + 1}})
    assert not torch.allclose(tokens.values_BSC, changed.values_BSC), "the picture counts"
    assert model.frozen({"vlm": inputs}).values_BSC.shape == (2, 7, 32)


def test_the_tower_of_a_vision_language_model_may_be_tuned(tmp_path: Path) -> None:
    config = BackboneConfig(kind="vlm", source=str(saved_vlm(tmp_path)), width=16, layer=2, tune_vision=True)
    model = build_backbone(config)
    assert any("visual" in name and p.requires_grad for name, p in model.named_parameters())
    assert model({"vlm": vlm_inputs()}).values_BSC.shape == (2, 9, 16)


def test_a_model_without_its_processor_says_so_when_inputs_are_to_be_prepared(tmp_path: Path) -> None:
    model: Any = build_backbone(BackboneConfig(kind="vlm", source=str(saved_vlm(tmp_path)), width=32))
    with pytest.raises((MissingFileError, ConfigError), match="processor"):
        model.prepare(torch.zeros(1, 1, 32, 32, 3, dtype=torch.uint8), ["pick up the cup"])


def test_missing_models_and_layers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a source"):
        build_backbone(BackboneConfig(kind="vision"))
    with pytest.raises(MissingFileError, match="nowhere"):
        build_backbone(BackboneConfig(kind="vision", source=str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match="has 4 layers"):
        build_backbone(BackboneConfig(kind="vlm", source=str(saved_vlm(tmp_path / "vlm")), width=32, layer=9))
