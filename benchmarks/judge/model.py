"""The starter judge as a transformers model: Aya Vision's architecture (arXiv 2505.08751), small enough to ship.

A CLIP vision tower (that of the starter detector, fitted first), pixel shuffle to 16 tokens a frame, and a Llama of
three layers. Words are tokens; the fixed parts of replies are one token each.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    Owlv2ForObjectDetection,
    PreTrainedTokenizerFast,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from benchmarks.judge.clips import SIZE_PX
from benchmarks.judge.lessons import INSTRUCTIONS, NOTHING
from generators.simulation.environments.tabletop_catalog import RECEPTACLES, THINGS

PATCH_PX, SHUFFLE = 8, 4
TOKENS_A_FRAME = (SIZE_PX // PATCH_PX // SHUFFLE) ** 2
MARKS = (
    "<pad>",
    "<start>",
    "<unk>",
    "<end>",
    "<image>",
    "<|START_OF_IMG|>",
    "<|END_OF_IMG|>",
    "<|IMG_PATCH|>",
    "TILE_GLOBAL",
)
PIECES = ('{"answer": "', '", "reason": "', '{"caption": "', '"}')
"""The fixed parts of replies, a token each."""
REASONS = "done other task unfinished not moved dropped wrong place vanished reversed frozen whole warped"
TEMPLATE = (
    "<start>{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
)


def words() -> list[str]:
    """Every word that the starter knows."""
    texts = [text for ways in INSTRUCTIONS.values() for text in ways]
    texts += [thing.text for thing in THINGS.values()] + [place.text for place in RECEPTACLES.values()]
    texts += [NOTHING, "instruction : follows ? shown right plausible caption yes no unsure on in top of and put take"]
    return sorted({word for text in (*texts, REASONS) for word in text.split()} | {'"'})


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words; what it does not know is <unk>."""
    names = [*MARKS, *PIECES, *words()]
    inner = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    inner.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    inner.add_tokens([AddedToken(piece, normalized=False) for piece in PIECES])
    marks = {"pad_token": "<pad>", "bos_token": "<start>", "eos_token": "<end>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=1024, clean_up_tokenization_spaces=False, **marks
    )


def processor() -> AyaVisionProcessor:
    """Pictures to `SIZE_PX`, one tile each; messages by the chat template."""
    images = GotOcr2ImageProcessorPil(size={"height": SIZE_PX, "width": SIZE_PX}, min_patches=1, max_patches=1)
    sizes = {"patch_size": PATCH_PX, "img_size": SIZE_PX, "downsample_factor": SHUFFLE}
    return AyaVisionProcessor(image_processor=images, tokenizer=tokenizer(), chat_template=TEMPLATE, **sizes)


def make(detector: Path | None) -> AyaVisionForConditionalGeneration:
    """The untrained judge with the vision tower of a fitted detector (None: an untrained one)."""
    text = tokenizer()
    layers = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 384}
    language = LlamaConfig(
        **layers,
        vocab_size=len(text),
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=text.eos_token_id,
    )
    config = AyaVisionConfig(
        vision_config=CLIPVisionConfig(**layers, image_size=SIZE_PX, patch_size=PATCH_PX),
        text_config=language,
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
        downsample_factor=SHUFFLE,
        image_token_index=text.convert_tokens_to_ids("<|IMG_PATCH|>"),
        alignment_intermediate_size=256,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = AyaVisionForConditionalGeneration(config)
    start_wide(model)
    if detector is not None:
        take_vision(model, Owlv2ForObjectDetection.from_pretrained(detector))
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, text.eos_token_id
    return model


def start_wide(model: AyaVisionForConditionalGeneration) -> None:
    """Start the weights as wide as so narrow a network needs: the library's own start is for a hundred times the width,
    and leaves attention blind for long. What writes into the residual stream starts smaller, as in GPT-2."""
    language = model.model.language_model
    for name, part in (*language.named_modules(), *model.model.multi_modal_projector.named_modules()):
        if isinstance(part, torch.nn.Linear):
            narrow = (2 * len(language.layers)) ** -0.5 if name.endswith(("o_proj", "down_proj")) else 1.0
            torch.nn.init.normal_(part.weight, std=narrow * part.in_features**-0.5)
    torch.nn.init.normal_(language.embed_tokens.weight, std=0.1)


def take_vision(model: AyaVisionForConditionalGeneration, detector: Owlv2ForObjectDetection) -> None:
    """Put the detector's vision tower into the judge: OWL-v2's is CLIP's, under other names."""
    source: dict[str, Any] = detector.owlv2.vision_model.state_dict()
    renamed = {name.replace("pre_layernorm", "pre_layrnorm"): value for name, value in source.items()}
    tower = model.model.vision_tower
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in tower.state_dict()) else ""
    missing, unexpected = tower.load_state_dict(
        {f"{prefix}{name}": value for name, value in renamed.items()}, strict=False
    )
    left = [name for name in (*missing, *unexpected) if "position_ids" not in name]
    if left:
        raise RuntimeError(f"the vision tower of the detector does not fit the judge's: {left[:4]}")
