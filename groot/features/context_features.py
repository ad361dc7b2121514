"""The stage `context_features`: what a frozen System 2 makes of every step, computed once for all of a training run.

Writes, in the order of the steps:

    feature/context        (F, S, C) float16   hidden states of the chosen layer, before the model's own projection
    feature_mask/context   (F, S) uint8        0 padding, 1 text, 2 image

Most of a training step with a vision-language model goes into these numbers, and a frozen model gives the same ones
in every epoch (GR00T N1.5 freezes it, see `groot.presets`). Augmented pictures need a live encoder.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from groot.encoders.context_tokens import Tokens
from groot.features.feature_config import FeatureConfig
from groot.network.backbone import build_backbone
from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.pictures.resizing import Resize

TEXT, IMAGE = 1, 2


class ContextFeatures:
    """Holds the encoder; made once a worker."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.encoder: Any = build_backbone(config.backbone).eval().to(self._device)
        self._resize = Resize(size_px=config.backbone.image_px)

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        """One outcome an episode."""
        return [[self._label(episode)] for episode in episodes]

    def _label(self, episode: Episode) -> Outcome:
        cameras = [self._camera(episode, names) for names in self.config.views.values()]
        if None in cameras:
            lacking = [view for view, camera in zip(self.config.views, cameras, strict=True) if camera is None]
            return Dropped(episode_id=episode.episode_id, reason="missing camera", detail={"views": lacking})
        parts = []
        for start in range(0, episode.length, self.config.batch):
            steps = range(start, min(start + self.config.batch, episode.length))
            views = [
                np.stack([self._resize(frame) for frame in episode.cameras[str(camera)].decode(steps)])
                for camera in cameras
            ]
            parts.append(self._features(np.stack(views, axis=1), episode.instruction))
        arrays = {
            "feature/context": np.concatenate([values for values, _ in parts]),
            "feature_mask/context": np.concatenate([mask for _, mask in parts]),
        }
        return Kept(episode.adding(arrays=arrays, provenance={"context_features": self.config.stated()}))

    @staticmethod
    def _camera(episode: Episode, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in episode.cameras), None)

    @torch.no_grad()
    def _features(self, images: Any, instruction: str) -> tuple[Any, Any]:
        """Tokens of steps with images (B, V, H, W, 3), padded: (B, S, C) float16 and (B, S) uint8."""
        batch: dict[str, Any] = {"images": torch.from_numpy(images)}
        if self.config.backbone.kind == "vlm":
            batch["vlm"] = self.encoder.prepare(batch["images"], [instruction] * len(images))
        tokens: Tokens = self.encoder.frozen(_on(batch, self._device))
        count = tokens.values_BSC.shape[1]
        if count > self.config.tokens:
            raise ConfigError(f"the encoder gives {count} tokens; raise `tokens` from {self.config.tokens}")
        values = np.zeros((len(images), self.config.tokens, tokens.values_BSC.shape[2]), np.float16)
        values[:, :count] = tokens.values_BSC.float().cpu().numpy()
        mask = np.zeros(values.shape[:2], np.uint8)
        mask[:, :count] = (tokens.mask_BS.long() * (TEXT + tokens.image_BS.long())).cpu().numpy()
        return values, mask


def _on(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, dict):
        return {name: _on(value, device) for name, value in batch.items()}
    return batch.to(device)
