"""Wan image-to-video (`WanImageToVideoPipeline`): 2.1 I2V (with CLIP), 2.2 I2V A14B (two transformers), 2.2 TI2V 5B (a
clean first latent frame), with a sampling loop of our own that makes many clips together.

diffusers' pipeline takes one image a call and lets some mistakes pass silently; each has its guard here:
- 2.1 splits text from CLIP tokens by "all but 512", so text embeddings must be 512 tokens long, always;
- `encode_prompt` defaults to 226 tokens where `__call__` takes 512: the length is given in every call;
- frames and sizes that do not fit are rounded: they are refused (`shape_rules`);
- latents are the mode of the encoder's distribution, as in Wan's own code; sampling them hurts small autoencoders.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generators.neural.clip_shape import ClipShape
from generators.neural.models.interface import Image, Request, Sampling
from generators.neural.models.prompt_check import check_prompt
from generators.neural.models.shape_rules import ShapeRules

CLIP_TEXT_TOKENS = 512
"""Fixed by diffusers' attention of models with CLIP tokens."""


class WanModel:
    """A loaded Wan pipeline."""

    def __init__(self, pipe: Any, shape: ClipShape, sampling: Sampling) -> None:
        self.pipe, self.shape, self.sampling, self.name = pipe, shape, sampling, type(pipe).__name__
        self.config = (pipe.transformer or pipe.transformer_2).config
        self.clean_first_frame: bool = pipe.config.expand_timesteps
        self.sees_clip = self.config.image_dim is not None
        stated = pipe.tokenizer.model_max_length
        self.text_tokens = CLIP_TEXT_TOKENS if self.sees_clip or stated > CLIP_TEXT_TOKENS else int(stated)
        side = pipe.vae_scale_factor_spatial * self.config.patch_size[1]
        self.rules = ShapeRules(frames_step=pipe.vae_scale_factor_temporal, side_px=max(side, 16))

    def check_shape(self, shape: ClipShape) -> None:
        self.rules.check(shape, model=self.name)

    def check_prompt(self, prompt: str) -> None:
        check_prompt(prompt, self.pipe.tokenizer, most_tokens=self.text_tokens)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.pipe._execution_device
        return device

    @torch.inference_mode()
    def text_latents(self, prompt: str) -> Tensor:
        """The embedded prompt (L, D), padding zeroed."""
        embedded, _ = self.pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=self.text_tokens
        )
        if embedded.shape[1] != self.text_tokens:  # our own invariant: see the first guard above
            raise AssertionError(f"{embedded.shape[1]} text tokens where {self.text_tokens} are needed")
        first: Tensor = embedded[0]
        return first

    @torch.inference_mode()
    def encode(self, video: Tensor) -> Tensor:
        """Normalised latents (B, C, T', h, w) of videos (B, 3, T, H, W) in [-1, 1]."""
        vae = self.pipe.vae
        latents = vae.encode(video.to(self._vae_device, vae.dtype)).latent_dist.mode().to(self.device, torch.float32)
        mean, std = self._statistics(latents)
        normal: Tensor = (latents - mean) * (1 / std)
        return normal

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> list[Image]:
        """Clips (T, H, W, 3) float32 in [0, 1] of normalised latents; one at a time, for decoding takes most memory."""
        vae = self.pipe.vae
        mean, std = self._statistics(latents)
        plain = (latents * std + mean).to(self._vae_device, vae.dtype)
        clips = []
        for one in torch.split(plain, 1):
            video = vae.decode(one, return_dict=False)[0][0]
            clips.append(((video.float() + 1) / 2).permute(1, 2, 3, 0).cpu().numpy())
        return clips

    @property
    def _vae_device(self) -> torch.device:
        hook = getattr(self.pipe.vae, "_hf_hook", None)
        return getattr(hook, "execution_device", None) or self.device

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        config = self.pipe.vae.config
        shape = (1, config.z_dim, 1, 1, 1)
        mean, std = (torch.tensor(config[name]).view(shape).to(latents) for name in ("latents_mean", "latents_std"))
        return mean, std

    def clip_latents(self, clip: Image) -> Mapping[str, Tensor]:
        """`latents` of a clip and the `condition` on its first frame."""
        video = as_video(clip[None])
        shape = ClipShape(frames=len(clip), height_px=clip.shape[1], width_px=clip.shape[2], rate_hz=self.shape.rate_hz)
        return {"latents": self.encode(video)[0], **self.condition(clip[0], shape)}

    def condition(self, image: Image, shape: ClipShape) -> dict[str, Tensor]:
        """What the transformer sees of the first frame: `condition`, and `clip` tokens where the model has them."""
        first = as_video(image[None, None])
        if self.clean_first_frame:
            conditions = {"condition": self.encode(first)[0]}
        else:
            rest = torch.zeros(1, 3, shape.frames - 1, *first.shape[-2:])
            latents = self.encode(torch.cat([first, rest], 2))[0]
            mask = torch.zeros(self.pipe.vae_scale_factor_temporal, *latents.shape[1:]).to(latents)
            mask[:, 0] = 1
            conditions = {"condition": torch.cat([mask, latents])}
        if self.sees_clip:
            from PIL import Image as Pillow

            with torch.inference_mode():
                conditions["clip"] = self.pipe.encode_image(Pillow.fromarray(image))[0]
        return conditions

    def generate(self, requests: Sequence[Request], shape: ClipShape, sampling: Sampling) -> list[Image]:
        """One clip for each request, all drawn together."""
        texts = {prompt: self.text_latents(prompt) for prompt in {request.prompt for request in requests}}
        conditions = [self.condition(request.image, shape) for request in requests]
        stacked = {name: torch.stack([one[name] for one in conditions]) for name in conditions[0]}
        text = torch.stack([texts[request.prompt] for request in requests])
        negative = self.text_latents(sampling.negative_prompt) if sampling.guidance > 1 else None
        noise, generators = self._noise([request.seed for request in requests], shape)
        latents = self._denoised(noise, generators, stacked, text, negative, sampling)
        return self.decode(latents)

    def _noise(self, seeds: Sequence[int], shape: ClipShape) -> tuple[Tensor, list[torch.Generator]]:
        """Noise (B, C, T', h, w) drawn on the CPU, clip by clip: equal on every device and in every batch."""
        space = self.pipe.vae_scale_factor_spatial
        frames = (shape.frames - 1) // self.pipe.vae_scale_factor_temporal + 1
        size = (1, self.pipe.vae.config.z_dim, frames, shape.height_px // space, shape.width_px // space)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.cat([torch.randn(size, generator=one) for one in generators]).to(self.device), generators

    @torch.inference_mode()
    def _denoised(
        self,
        latents: Tensor,
        generators: list[torch.Generator],
        conditions: Mapping[str, Tensor],
        text: Tensor,
        negative: Tensor | None,
        sampling: Sampling,
    ) -> Tensor:
        from inspect import signature

        scheduler = self.pipe.scheduler
        scheduler.set_timesteps(sampling.steps, device=self.device)
        # Samplers that draw noise at every step get the clips' own generators, not the process's.
        extra = {"generator": generators} if "generator" in signature(scheduler.step).parameters else {}
        for time in scheduler.timesteps:
            model = self._transformer_at(time)
            share = time.expand(len(latents))
            with model.cache_context("cond"):
                flow = self._velocity(model, latents, share, conditions, text)
            if negative is not None:
                with model.cache_context("uncond"):
                    away = self._velocity(model, latents, share, conditions, negative.expand_as(text))
                flow = away + sampling.guidance * (flow - away)
            latents = scheduler.step(flow, time, latents, return_dict=False, **extra)[0]
        return torch.cat([conditions["condition"], latents[:, :, 1:]], 2) if self.clean_first_frame else latents

    def _transformer_at(self, time: Tensor) -> Any:
        """Wan 2.2 A14B has one transformer for much noise and one for little."""
        boundary = self.pipe.config.boundary_ratio
        early = boundary is None or time >= boundary * self.pipe.scheduler.config.num_train_timesteps
        return self.pipe.transformer if early else self.pipe.transformer_2

    def _velocity(
        self, model: Any, latents: Tensor, time: Tensor, conditions: Mapping[str, Tensor], text: Tensor
    ) -> Tensor:
        """The predicted velocity for `latents` at `time` (B,) in 0..1000."""
        condition = conditions["condition"]
        if self.clean_first_frame:
            latents = torch.cat([condition, latents[:, :, 1:]], 2)
            _, height, width = self.config.patch_size
            tokens = (latents.shape[3] // height) * (latents.shape[4] // width)
            time = time[:, None].repeat(1, tokens * latents.shape[2])
            time[:, :tokens] = 0
        else:
            latents = torch.cat([latents, condition], 1)
        image = conditions.get("clip")
        flow: Tensor = model(
            hidden_states=latents.to(model.dtype),
            timestep=time,
            encoder_hidden_states=text.to(model.dtype),
            encoder_hidden_states_image=None if image is None else image.to(model.dtype),
            return_dict=False,
        )[0]
        return flow

    def flow_loss(
        self, clips: Mapping[str, Tensor], texts: Tensor, *, sigma: Tensor, noise: Tensor, transformer: Any = None
    ) -> Tensor:
        """Flow matching (arXiv 2210.02747) as Wan is trained: x_t = (1 - s) x0 + s noise, target noise - x0. A first
        latent frame that is kept clean is no part of the loss."""
        clean = clips["latents"]
        share = sigma.view(-1, 1, 1, 1, 1)
        mixed = (1 - share) * clean + share * noise
        model = transformer or self.pipe.transformer
        flow = self._velocity(model, mixed, 1000 * sigma, clips, texts)
        error = (flow.float() - (noise - clean).float()) ** 2
        return (error[:, :, 1:] if self.clean_first_frame else error).flatten(1).mean(1)


def as_video(clips: Image) -> Tensor:
    """uint8 (B, T, H, W, 3) as (B, 3, T, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
