"""Tiny pipelines with random weights of the real classes, for tests: each saves, loads and generates in seconds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

WORDS = "lift stack put the red green blue cube on place pick up from to left right of bowl plate"


def tiny_tokenizer(words: str = WORDS, *, most_tokens: int = 512) -> Any:
    """Whole words, lower case."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("<pad>", "</s>", "<unk>")
    vocabulary = {word: number for number, word in enumerate((*special, *sorted(set(words.lower().split()))))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=most_tokens,
        padding_side="right",
    )


def _seeded() -> None:
    import torch

    torch.manual_seed(0)


def _vae(z: int = 4) -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=3,
        z_dim=z,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * z,
        latents_std=[1.0] * z,
    )


def _wan_transformer(*, channels: int, out: int, clip: bool) -> Any:
    from diffusers import WanTransformer3DModel

    image = {"image_dim": 16, "added_kv_proj_dim": 24, "pos_embed_seq_len": None} if clip else {}
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=out,
        text_dim=16,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        rope_max_seq_len=32,
        **image,
    )


def _umt5(tokens: int) -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(vocab_size=tokens, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, dropout_rate=0.0)
    return UMT5EncoderModel(config)


def _t5(tokens: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=tokens, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, dropout_rate=0.0)
    return T5EncoderModel(config)


def wan_2_1() -> Any:
    """Wan 2.1 I2V: CLIP tokens, the condition as more channels."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    _seeded()
    tokenizer = tiny_tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    return WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=_umt5(len(tokenizer)),
        vae=_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        image_encoder=CLIPVisionModel(vision),
        transformer=_wan_transformer(channels=4 + 4 + 4, out=4, clip=True),
    )


def wan_2_2_ti2v() -> Any:
    """Wan 2.2 TI2V: a clean first latent frame, a time for each token."""
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

    _seeded()
    tokenizer = tiny_tokenizer(most_tokens=16)
    return WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=_umt5(len(tokenizer)),
        vae=_vae(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
        transformer=_wan_transformer(channels=4, out=4, clip=False),
        expand_timesteps=True,
    )


def wan_2_2_a14b() -> Any:
    """Wan 2.2 I2V A14B: two transformers, one for much noise and one for little, no CLIP."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline

    _seeded()
    tokenizer = tiny_tokenizer(most_tokens=16)
    return WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=_umt5(len(tokenizer)),
        vae=_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=_wan_transformer(channels=4 + 4 + 4, out=4, clip=False),
        transformer_2=_wan_transformer(channels=4 + 4 + 4, out=4, clip=False),
        boundary_ratio=0.9,
    )


def cosmos_predict2() -> Any:
    """Cosmos-Predict2 video-to-world, its guardrail left open."""
    from diffusers import Cosmos2VideoToWorldPipeline, CosmosTransformer3DModel, FlowMatchEulerDiscreteScheduler

    from generators.neural.models.load import OpenGuardrail

    _seeded()
    tokenizer = tiny_tokenizer()
    transformer = CosmosTransformer3DModel(
        in_channels=4 + 1,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        mlp_ratio=2,
        text_embed_dim=16,
        adaln_lora_dim=4,
        max_size=(4, 32, 32),
        patch_size=(1, 2, 2),
        rope_scale=(1.0, 4.0, 4.0),
        concat_padding_mask=False,  # with it the class needs torchvision
        extra_pos_embed_type="learnable",
    )
    return Cosmos2VideoToWorldPipeline(
        text_encoder=_t5(len(tokenizer)),
        tokenizer=tokenizer,
        transformer=transformer,
        vae=_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
        safety_checker=OpenGuardrail(),
    )


def cogvideox() -> Any:
    """CogVideoX image-to-video."""
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXImageToVideoPipeline,
        CogVideoXTransformer3DModel,
    )

    _seeded()
    tokenizer = tiny_tokenizer()
    blocks = ("CogVideoXDownBlock3D",) * 4
    vae = AutoencoderKLCogVideoX(
        down_block_types=blocks,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=16,
        num_layers=1,
        sample_width=4,
        sample_height=4,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=16,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=False,
    )
    tokenizer.model_max_length = 16
    return CogVideoXImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=_t5(len(tokenizer)),
        vae=vae,
        transformer=transformer,
        scheduler=CogVideoXDDIMScheduler(prediction_type="v_prediction"),
    )


def ltx() -> Any:
    """LTX image-to-video."""
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXImageToVideoPipeline,
        LTXVideoTransformer3DModel,
    )

    _seeded()
    tokenizer = tiny_tokenizer(most_tokens=16)
    vae = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False, False, False, False, False),
        upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1),
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    transformer = LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=16,
    )
    return LTXImageToVideoPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=_t5(len(tokenizer)),
        tokenizer=tokenizer,
        transformer=transformer,
    )


TINY: Mapping[str, Callable[[], Any]] = {
    "wan 2.1": wan_2_1,
    "wan 2.2 ti2v": wan_2_2_ti2v,
    "wan 2.2 a14b": wan_2_2_a14b,
    "cosmos predict2": cosmos_predict2,
    "cogvideox": cogvideox,
    "ltx": ltx,
}


def save_tiny(name: str, folder: Path) -> Path:
    """The tiny pipeline `name` saved by diffusers itself; a guardrail is left out of the file."""
    pipe = TINY[name]()
    for part in _parts(pipe):
        getattr(pipe, part).eval()
    if getattr(pipe, "safety_checker", None) is not None:
        pipe.register_modules(safety_checker=None)
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def _parts(pipe: Any) -> Sequence[str]:
    return [name for name in pipe.components if hasattr(getattr(pipe, name), "eval")]
