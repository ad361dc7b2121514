"""Fitting a LoRA to clips: peft's adapter on the transformer, flow matching on cached latents, `groot.fit` as the loop.

While the transformer trains, text encoder and autoencoder are off the card. What is saved is read by plain diffusers
(`load_lora_weights`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from generators.neural.clip_shape import ClipShape
from generators.neural.fitting.cache import CachedClips, cached_clips, weights_mark
from generators.neural.fitting.config import VideoFitConfig
from generators.neural.fitting.samples import Samples
from generators.neural.models.lora import ADAPTER, save_lora
from groot.fit import Batch, FitConfig, FitResult, Position
from groot.fit import fit as run_fit
from storage.atomic_files import json_bytes, write_whole
from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import content_id

log = logging.getLogger(__name__)
KIND = "video lora"


class Adapter(nn.Module):
    """The LoRA's parameters alone, so that saved states hold no weights of the base."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        trained = {name: value for name, value in transformer.named_parameters() if value.requires_grad}
        self.names = list(trained)
        self.parts = nn.ParameterList(trained.values())


def fit_lora(model: Any, episodes: Sequence[Episode], camera: str, config: VideoFitConfig, output: Path) -> FitResult:
    """Fit a LoRA for `model` and write it, with its card, into `output`; a fit that was stopped goes on.

    Raises ConfigError when the model's training sample is not known, or there is nothing to learn from.
    """
    if not hasattr(model, "flow_loss"):
        raise ConfigError(f"how {model.name} is trained is not known here; fit a Wan or CogVideoX model")
    shape = shape_for(config, model.shape)
    model.check_shape(shape)
    training, held_out = split(episodes, config.held_out_share)
    if not training:
        raise ConfigError(f"{len(episodes)} episodes leave none to train on; give more, or a smaller held_out_share")
    cache = output / "cache"
    data, test = (
        cached_clips(model, part, camera, shape, per_episode=config.clips_per_episode, folder=cache)
        for part in (training, held_out)
    )
    samples = Samples.of(model, held_out, camera, shape, count=config.sample_clips, folder=output / "samples")
    base = weights_mark(model.pipe.transformer)
    adapter = add_adapter(model, config)
    log.info("%d clips, %d held out, %d trained parameters", len(data), len(test), count_of(adapter))
    off_the_card(model)
    before = Validate(model, test, config)(adapter) if len(test) else {}
    result = run_fit(
        adapter,
        loop_config(config),
        loss=Loss(model, config.shift),
        batches=Batches(data, config),
        validate=Validate(model, test, config, samples) if len(test) else None,
        folder=output / "training",
        identity=(config_identity(config), base, [episode.episode_id for episode in training]),
    )
    save_lora(model.pipe, output, rank=config.rank, alpha=config.alpha, targets=list(config.targets))
    card = {
        "kind": KIND,
        "base": model.name,
        "base_mark": base,
        "shape": asdict(shape),
        "config": asdict(config),
        "clips": len(data),
        "parameters": count_of(adapter),
        "held_out_before": dict(before),
        "held_out_after": dict(result.figures),
    }
    write_whole(output / "card.json", json_bytes(card))
    return result


def split(episodes: Sequence[Episode], share: float) -> tuple[list[Episode], list[Episode]]:
    """Training and held-out episodes, by id; the same on every machine."""
    ranked = sorted(episodes, key=lambda episode: content_id("held out", episode.episode_id))
    count = round(len(ranked) * share)
    return ranked[count:], ranked[:count]


def shape_for(config: VideoFitConfig, own: ClipShape) -> ClipShape:
    """The shape of the training clips: the model's own, with what the config says otherwise."""
    height, width = config.size_px or (own.height_px, own.width_px)
    return ClipShape(
        frames=config.frames or own.frames, height_px=height, width_px=width, rate_hz=config.rate_hz or own.rate_hz
    )


def add_adapter(model: Any, config: VideoFitConfig) -> Adapter:
    """A fresh LoRA on the transformer, everything else frozen. Its output is zero at first."""
    from peft import LoraConfig

    transformer = model.pipe.transformer
    transformer.requires_grad_(False)
    torch.manual_seed(config.seed)
    lora = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, init_lora_weights=True, target_modules=list(config.targets)
    )
    transformer.add_adapter(lora, adapter_name=ADAPTER)
    for value in transformer.parameters():
        if value.requires_grad:
            value.data = value.data.float()
    if config.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    return Adapter(transformer)


def off_the_card(model: Any) -> None:
    """Move everything but the transformer to the CPU."""
    for name in ("text_encoder", "vae", "image_encoder"):
        part = getattr(model.pipe, name, None)
        if part is not None:
            part.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def loop_config(config: VideoFitConfig) -> FitConfig:
    return FitConfig(
        steps=config.steps,
        learning_rate=config.learning_rate,
        betas=(0.9, 0.999),
        weight_decay=0.01,
        accumulate=config.accumulate,
        precision="bf16" if config.precision == "bf16" else "float32",
        seed=config.seed,
        log_every=min(50, config.steps),
        validate_every=config.validate_every,
        save_every=config.save_every,
    )


def config_identity(config: VideoFitConfig) -> dict[str, Any]:
    quiet = {"validate_every", "sample_clips", "save_every", "gradient_checkpointing"}
    return {name: value for name, value in asdict(config).items() if name not in quiet}


class Batches:
    """Endless batches from cached clips; a batch follows from seed, step and process."""

    def __init__(self, data: CachedClips, config: VideoFitConfig) -> None:
        self.data, self.config = data, config

    def __call__(self, position: Position) -> Iterator[Batch]:
        step = position.step
        while True:
            random = np.random.default_rng([self.config.seed, step, position.process])
            rows = random.integers(0, len(self.data), self.config.batch_size)
            yield batch_of(self.data, [int(row) for row in rows])
            step += 1


def batch_of(data: CachedClips, rows: Sequence[int]) -> dict[str, Any]:
    """`clips` by name and `texts`, stacked."""
    clips = {name: torch.stack([data.clips[row][name] for row in rows]) for name in data.clips[rows[0]]}
    return {"clips": clips, "texts": torch.stack([data.texts[data.prompts[row]] for row in rows])}


class Loss:
    """Flow matching at a random time, shifted towards noise: s' = shift s / (1 + (shift - 1) s)."""

    def __init__(self, model: Any, shift: float) -> None:
        self.model, self.shift = model, shift

    def __call__(self, _adapter: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        clean = batch["clips"]["latents"]
        share = torch.rand(len(clean), device=clean.device)
        sigma = self.shift * share / (1 + (self.shift - 1) * share)
        error = self.model.flow_loss(batch["clips"], batch["texts"], sigma=sigma, noise=torch.randn_like(clean))
        return {"loss": error.mean()}


class Validate:
    """Held-out error at fixed noise, level by level: the loss of single steps mostly says how noisy its clip was."""

    def __init__(self, model: Any, data: CachedClips, config: VideoFitConfig, samples: Samples | None = None) -> None:
        self.model, self.data, self.config, self.samples, self.calls = model, data, config, samples, 0

    def __call__(self, _adapter: nn.Module) -> Mapping[str, float]:
        errors: dict[float, list[float]] = {level: [] for level in self.config.noise_levels}
        device = self.model.device
        with torch.no_grad():
            for row in range(len(self.data)):
                batch = batch_of(self.data, [row])
                clips = {name: value.to(device) for name, value in batch["clips"].items()}
                noise = torch.randn(clips["latents"].shape, generator=torch.Generator().manual_seed(row)).to(device)
                for level, of_level in errors.items():
                    sigma = torch.full((1,), level, device=device)
                    error = self.model.flow_loss(clips, batch["texts"].to(device), sigma=sigma, noise=noise)
                    of_level.append(float(error))
        if self.samples is not None:
            self.calls += 1
            self.samples.write(self.calls)
        figures = {f"error_at_{level:g}": float(np.mean(of_level)) for level, of_level in errors.items()}
        return {"error": float(np.mean(list(figures.values()))), **figures}


def count_of(adapter: Adapter) -> int:
    return sum(value.numel() for value in adapter.parameters())


def with_steps(config: VideoFitConfig, steps: int) -> VideoFitConfig:
    return replace(config, steps=steps) if steps else config
