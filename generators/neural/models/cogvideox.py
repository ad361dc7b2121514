"""CogVideoX image-to-video: called clip by clip through its pipeline; its training sample is formed here.

Latents are (T', C, h, w), scaled by the autoencoder's factor; the first frame's latents are beside them as more
channels, zeros behind the first. The scheduler is a DDIM one with v-prediction, so "sigma" picks a discrete time, and
the error is taken of the clean latents, weighted by 1 / (1 - alpha) (CogVideoX, arXiv 2408.06072, section 2.3).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from generators.neural.models.interface import Image
from generators.neural.models.one_call import OneCallModel
from generators.neural.models.wan import as_video


class CogVideoXModel(OneCallModel):
    """A loaded CogVideoX pipeline."""

    @property
    def device(self) -> torch.device:
        device: torch.device = self.pipe._execution_device
        return device

    @torch.inference_mode()
    def clip_latents(self, clip: Image) -> Mapping[str, Tensor]:
        """`latents` (T', C, h, w) of a clip and `condition` of the same shape: its first frame's, zeros behind it."""
        vae = self.pipe.vae
        video = as_video(clip[None]).to(self.device, vae.dtype)
        scale = self.pipe.vae_scaling_factor_image
        latents = vae.encode(video).latent_dist.mode()[0].transpose(0, 1) * scale
        first = vae.encode(video[:, :, :1]).latent_dist.mode()[0].transpose(0, 1)
        first = first / scale if self.pipe.vae.config.invert_scale_latents else first * scale
        rest = torch.zeros(len(latents) - 1, *first.shape[1:]).to(first)
        return {"latents": latents.float(), "condition": torch.cat([first, rest]).float()}

    @torch.inference_mode()
    def text_latents(self, prompt: str) -> Tensor:
        """The embedded prompt (L, D)."""
        embedded, _ = self.pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=self.text_tokens
        )
        first: Tensor = embedded[0]
        return first

    def flow_loss(
        self, clips: Mapping[str, Tensor], texts: Tensor, *, sigma: Tensor, noise: Tensor, transformer: Any = None
    ) -> Tensor:
        """The weighted error of the clean latents, (B,); `sigma` in 0..1 stands for the scheduler's discrete time."""
        scheduler, clean = self.pipe.scheduler, clips["latents"]
        last = scheduler.config.num_train_timesteps - 1
        time = (sigma * last).round().long()
        mixed = scheduler.add_noise(clean, noise, time)
        model = transformer or self.pipe.transformer
        height, width = (side * self.pipe.vae_scale_factor_spatial for side in clean.shape[-2:])
        rotary = (
            self.pipe._prepare_rotary_positional_embeddings(height, width, clean.shape[1], clean.device)
            if model.config.use_rotary_positional_embeddings
            else None
        )
        predicted = model(
            hidden_states=torch.cat([mixed, clips["condition"]], 2).to(model.dtype),
            encoder_hidden_states=texts.to(model.dtype),
            timestep=time,
            image_rotary_emb=rotary,
            return_dict=False,
        )[0]
        restored = scheduler.get_velocity(predicted.float(), mixed, time)
        weight = 1 / (1 - scheduler.alphas_cumprod.to(clean.device)[time]).clamp(min=1e-3)
        error: Tensor = weight * ((restored - clean) ** 2).flatten(1).mean(1)
        return error
