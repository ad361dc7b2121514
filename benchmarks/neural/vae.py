"""Fitting the starter's video autoencoder, a small `AutoencoderKLWan`: single frames first, then short clips.

What made it work: frames before clips, robot and things weighted over the background, and noise on the latents so that
the decoder forgives what a sampler gets slightly wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groot.fit import Batch, FitConfig, Position, fit
from storage.ids import content_id

Z, LATENT_NOISE, LATENT_WEIGHT = 32, 0.1, 1e-3
MOVED, COLOURED, SHARP_COLOURED = 9.0, 30.0, 10.0
"""Weights over the background's 1 of pixels that differ from the background, and that differ from it in colour
(the last while the decoder is sharpened)."""


def small_vae() -> Any:
    """A Wan autoencoder that compresses 8 x 8 pixels and 4 frames into 32 numbers; statistics are filled in later."""
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=16,
        z_dim=Z,
        dim_mult=[1, 2, 4],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.0] * Z,
        latents_std=[1.0] * Z,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=8,
        scale_factor_temporal=4,
    )


def decoded(vae: Any, latents: Tensor) -> Tensor:
    """`vae.decode` without its clamp, whose gradient is dead beyond the range of a picture."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

    vae.clear_cache()
    latents = vae.post_quant_conv(latents)
    parts = []
    for place in range(latents.shape[2]):
        vae._conv_idx = [0]
        first = {"first_chunk": True} if place == 0 else {}
        parts.append(
            vae.decoder(latents[:, :, place : place + 1], feat_cache=vae._feat_map, feat_idx=vae._conv_idx, **first)
        )
    vae.clear_cache()
    video: Tensor = unpatchify(torch.cat(parts, 2), patch_size=vae.config.patch_size)
    return video


def reconstruction_loss(vae: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Weighted L1 and L2 of clips `batch["clip"]` (B, T, H, W, 3) uint8 with weights (B, T, H, W, 1)."""
    model: Any = vae
    clip = as_video(batch["clip"])
    with torch.set_grad_enabled(torch.is_grad_enabled() and next(model.encoder.parameters()).requires_grad):
        latents = model._encode(clip)[:, :Z]
    noisy = latents + LATENT_NOISE * torch.randn_like(latents)
    difference = (decoded(model, noisy) - clip).float()
    weight = batch["weight"].permute(0, 4, 1, 2, 3)
    loss = (weight * (difference.abs() + 2 * difference**2)).sum() / (3 * weight.sum())
    mse = (difference**2).mean()
    return {
        "loss": loss + LATENT_WEIGHT * latents.float().pow(2).mean(),
        "psnr_db": -10 * torch.log10(mse / 4),
        "latent_std": latents.float().std(),
    }


def as_video(clip: Tensor) -> Tensor:
    """uint8 (B, T, H, W, 3) as (B, 3, T, H, W) in [-1, 1]."""
    return clip.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Random pieces of `length` frames from clips (T, H, W, 3), `batch_size` together, weighted over `background`;
    `coloured` is the weight of coloured things."""

    clips: Sequence[NDArray[np.uint8]]
    background: NDArray[np.uint8]
    length: int
    batch_size: int
    seed: int = 0
    coloured: float = COLOURED

    def __call__(self, position: Position) -> Iterator[Batch]:
        long = [clip for clip in self.clips if len(clip) >= self.length]
        step = position.step
        while True:
            random = np.random.default_rng([self.seed, self.length, step, position.process])
            pieces = (self._piece(long[int(random.integers(len(long)))], random) for _ in range(self.batch_size))
            clip = np.stack(list(pieces))
            yield {"clip": clip, "weight": weights(clip, self.background, self.coloured)}
            step += 1

    def _piece(self, clip: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
        begin = int(random.integers(0, len(clip) - self.length + 1))
        return clip[begin : begin + self.length]


def weights(
    clip: NDArray[np.uint8], background: NDArray[np.uint8], coloured_weight: float = COLOURED
) -> NDArray[np.float32]:
    """Weights (..., H, W, 1) of clips (..., H, W, 3)."""
    change = clip.astype(np.float32) - background.astype(np.float32)
    colour = change - change.mean(axis=-1, keepdims=True)
    moved = np.abs(change).max(axis=-1, keepdims=True) > 20
    coloured = np.abs(colour).max(axis=-1, keepdims=True) > 25
    weight: NDArray[np.float32] = (1 + MOVED * moved + coloured_weight * coloured).astype(np.float32)
    return weight


def fit_vae(clips: Sequence[NDArray[np.uint8]], background: NDArray[np.uint8], folder: Path, *, steps: int) -> Any:
    """`steps` on three pieces of 9 frames, after 400 on batches of 24 frames (the fast part of a schedule of 1000).
    Goes on where it was stopped."""
    torch.manual_seed(0)
    vae = small_vae()
    about = content_id("neural starter vae", len(clips), int(background.astype(np.int64).sum()))
    phases = (("frames", 1, 24, 3e-3, 1000, 400), ("clips", 9, 3, 1.5e-3, steps, steps))
    for name, length, batch_size, rate, planned, last in phases:
        config = FitConfig(
            steps=planned,
            learning_rate=rate,
            betas=(0.9, 0.98),
            precision="bf16",
            average_decay=0.995 if name == "clips" else 0.0,
            log_every=25,
            save_every=100,
        )
        pieces = Pieces(clips=clips, background=background, length=length, batch_size=batch_size)
        fit(vae, config, loss=reconstruction_loss, batches=pieces, folder=folder / name, identity=about, stop_at=last)
    return with_statistics(vae.eval(), clips)


def sharpen_decoder(
    vae: Any, clips: Sequence[NDArray[np.uint8]], background: NDArray[np.uint8], folder: Path, *, steps: int
) -> Any:
    """Train the decoder alone, with robot and things weighted alike: latents, and whatever was fitted to them, stay."""
    vae.requires_grad_(False)
    for part in (vae.post_quant_conv, vae.decoder):
        part.requires_grad_(True)
    config = FitConfig(
        steps=steps,
        learning_rate=2e-3,
        betas=(0.9, 0.98),
        precision="bf16",
        average_decay=0.995,
        log_every=25,
        save_every=50,
    )
    pieces = Pieces(clips=clips, background=background, length=9, batch_size=3, seed=1, coloured=SHARP_COLOURED)
    fit(vae, config, loss=reconstruction_loss, batches=pieces, folder=folder, identity="decoder")
    return vae.requires_grad_(True).eval()


@torch.no_grad()
def with_statistics(vae: Any, clips: Sequence[NDArray[np.uint8]]) -> Any:
    """The autoencoder with the mean and deviation of its latents in its config."""
    some = [clip[:9] for clip in clips[:: max(len(clips) // 64, 1)] if len(clip) >= 9]
    latents = torch.cat([vae._encode(as_video(torch.from_numpy(clip)[None]))[:, :Z] for clip in some])
    mean, std = latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4)).clamp(min=1e-3)
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    return vae
