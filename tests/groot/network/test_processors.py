"""Live System 2: pictures and an instruction through a model's own processor, all of it tiny, saved and read back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from groot.network.backbone import build_backbone
from groot.network.model import Groot, groot_loss
from groot.presets import BackboneConfig, preset

MARKS = {
    "qwen": {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
    },
    "eagle": {
        "context_image_token": "<IMG_CONTEXT>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "video_token": "<video>",
    },
    "smolvlm": {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    },
}
PLACES = {"qwen": "<|vision_start|> <|image_pad|> <|vision_end|>", "eagle": "<IMG_CONTEXT>", "smolvlm": "<image>"}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
TEXT |= {"num_key_value_heads": 2, "vocab_size": 32}
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def tokenizer_of(family: str) -> Any:
    words = ["<pad>", "<unk>", "lift", "the", "red", "green", "cup", *MARKS[family].values()]
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", extra_special_tokens=MARKS[family]
    )
    picture = f"{{% if part.type == 'image' %}}{PLACES[family]} {{% else %}}{{{{ part.text }}}}{{% endif %}}"
    tokenizer.chat_template = (
        "{% for message in messages %}{% for part in message.content %}" + picture + "{% endfor %}{% endfor %}"
    )
    return tokenizer


def saved(folder: Path, family: str) -> str:
    """A checkpoint as they are shared: weights, configuration, tokenizer, preprocessor."""
    torch.manual_seed(0)
    tokenizer = tokenizer_of(family)
    number = tokenizer.convert_tokens_to_ids
    pictures: Any
    model: Any
    if family == "qwen":
        vision = {"depth": 2, "hidden_size": 32, "num_heads": 4, "intermediate_size": 64, "out_hidden_size": 32}
        vision |= {"patch_size": 8, "spatial_merge_size": 2}
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
        rope = {"rope_type": "default", "mrope_section": [2, 1, 1]}
        config = transformers.Qwen3VLConfig(
            text_config={**TEXT, "head_dim": 8, "rope_scaling": rope},
            vision_config=vision,
            image_token_id=number("<|image_pad|>"),
            video_token_id=number("<|video_pad|>"),
            vision_start_token_id=number("<|vision_start|>"),
            vision_end_token_id=number("<|vision_end|>"),
        )
        model = transformers.Qwen3VLModel(config)
        pictures = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=1024, max_pixels=1024)
    elif family == "eagle":
        config = transformers.InternVLConfig(
            text_config={**TEXT, "model_type": "qwen2"},
            vision_config={**VISION, "patch_size": [8, 8], "image_size": [32, 32]},
            image_token_id=number("<IMG_CONTEXT>"),
            image_seq_length=4,
            downsample_ratio=0.5,
        )
        model = transformers.InternVLModel(config)
        pictures = GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, crop_to_patches=False)
        (folder / "processor_config.json").write_text('{"processor_class": "InternVLProcessor", "image_seq_length": 4}')
    else:
        config = transformers.Idefics3Config(
            text_config={**TEXT, "model_type": "llama", "pad_token_id": 0},
            vision_config={**VISION, "patch_size": 8, "image_size": 32},
            scale_factor=2,
            image_token_id=number("<image>"),
            pad_token_id=0,
        )
        model = transformers.Idefics3Model(config)
        edge = {"longest_edge": 32}
        pictures = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
        (folder / "processor_config.json").write_text('{"processor_class": "Idefics3Processor", "image_seq_len": 4}')
    for part in (model, tokenizer, pictures):
        part.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", ["qwen", "eagle", "smolvlm"])
def test_pictures_and_instruction_reach_the_model_through_its_own_processor(tmp_path: Path, family: str) -> None:
    source = saved(tmp_path, family)
    backbone = BackboneConfig(kind="vlm", source=source, width=16, layer=3, tune_top=1)
    model: Any = build_backbone(backbone).eval()
    images = torch.randint(0, 255, (2, 1, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    inputs = model.prepare(images, ["lift the red cup", "lift the cup"])
    tokens = model({"vlm": inputs})
    assert tokens.image_BS.sum(dim=1).tolist() == [4, 4]
    assert tokens.mask_BS.sum(dim=1).tolist()[0] == tokens.mask_BS.sum(dim=1).tolist()[1] + 1, "a word less"
    other = model({"vlm": model.prepare(255 - images, ["lift the green cup", "lift the cup"])})
    assert not torch.allclose(tokens.values_BSC[0], other.values_BSC[0], atol=1e-4)
    assert torch.isfinite(tokens.values_BSC).all()


def test_the_whole_model_trains_on_live_pictures_and_words(tmp_path: Path) -> None:
    base = preset("tiny")
    backbone = BackboneConfig(kind="vlm", source=saved(tmp_path, "eagle"), width=16, layer=3, tune_top=1)
    model = Groot(replace(base, backbone=backbone, detection_weight=0.0, future_weight=0.0))
    batch: dict[str, Any] = {
        "images": torch.randint(0, 255, (2, 2, 32, 32, 3), dtype=torch.uint8),
        "instruction": ["lift the red cup", "lift the green cup"],
        "state": torch.randn(2, 5),
        "actions": torch.randn(2, 6, 4),
        "mask": torch.ones(2, 6, 4),
        "slot": torch.zeros(2, dtype=torch.long),
    }
    groot_loss(model, batch)["loss"].backward()  # type: ignore[no-untyped-call]
    learned = {name for name, p in model.backbone.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert any(".layers.2." in name for name in learned), "the top layer is tuned"
    assert not any(".layers.1." in name for name in learned)
