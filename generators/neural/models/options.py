"""How a model is loaded and run: number format, what stays on the card, tiling, step caches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from storage.errors import ConfigError

Offload = Literal["none", "model", "group", "sequential"]
Dtype = Literal["float32", "bfloat16", "float16"]
StepCache = Literal["none", "first_block", "taylorseer"]
NO_CACHE: Mapping[str, str] = {
    "fastercache": "it fails on Wan, which runs with and without the prompt one after the other",
    "seacache": "it does nothing here: no pipeline passes it the step",
    "magcache": "it needs ratios measured on your own weights",
    "pab": "it is not wired up here",
}
"""Step caches of diffusers that are refused, and why."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """`offload` moves parts to the card only while they work: whole components ("model"), blocks ("group") or layers
    ("sequential"). `float8_weights` stores the transformer's matrices in 8 bits. `step_cache` reuses a step's work in
    the next where little changed (`cache_threshold`, for "first_block"). `attention` names a diffusers back-end.
    `cosmos_guardrail` False runs Cosmos without NVIDIA's guardrail: read its licence first."""

    dtype: Dtype = "bfloat16"
    device: str = "auto"
    offload: Offload = "none"
    vae_tiling: bool = False
    float8_weights: bool = False
    attention: str = ""
    step_cache: str = "none"
    cache_threshold: float = 0.1
    cosmos_guardrail: bool = True

    def __post_init__(self) -> None:
        for name, kind in (("dtype", Dtype), ("offload", Offload)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} is one of {', '.join(get_args(kind))}; got {getattr(self, name)!r}")
        if self.step_cache not in get_args(StepCache):
            why = NO_CACHE.get(self.step_cache, "it is not known here")
            raise ConfigError(f"step_cache is one of {', '.join(get_args(StepCache))}; got {self.step_cache!r}: {why}")
        if not self.cache_threshold > 0:
            raise ConfigError(f"cache_threshold must be above 0; got {self.cache_threshold}")


def device_of(options: ModelOptions) -> str:
    """The device that "auto" stands for."""
    import torch

    if options.device != "auto":
        return options.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def apply_options(pipe: Any, options: ModelOptions) -> Any:
    """The pipeline on its device with every option in force."""
    import torch

    device = device_of(options)
    transformers = [one for name in ("transformer", "transformer_2") if (one := getattr(pipe, name, None)) is not None]
    for transformer in transformers:
        if options.float8_weights:
            transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=transformer.dtype)
        if options.attention:
            transformer.set_attention_backend(options.attention)
        if options.step_cache != "none":
            transformer.enable_cache(_cache_config(options))
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if options.offload == "none":
        pipe.to(device)
    elif device == "cpu":
        raise ConfigError(f"offload {options.offload!r} moves parts to an accelerator; there is none: use offload none")
    elif options.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif options.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.enable_group_offload(
            onload_device=torch.device(device), offload_type="block_level", num_blocks_per_group=1, use_stream=True
        )
    return pipe


def _cache_config(options: ModelOptions) -> Any:
    """diffusers' default TaylorSeer changes nothing on Wan; its light mode works."""
    from diffusers import FirstBlockCacheConfig, TaylorSeerCacheConfig

    if options.step_cache == "first_block":
        return FirstBlockCacheConfig(threshold=options.cache_threshold)
    return TaylorSeerCacheConfig(use_lite_mode=True)
