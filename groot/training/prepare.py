"""Windows of the training reader to batches of the shared model: targets by head, masks, weights, text, changes.

A window carries one kind of action and goes through the slot of its head alone: nothing of one kind reaches another.
Plain data only, so that loader processes can have it.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.encoders.text import text_numbers, view_stack
from groot.fit import Batch
from groot.training.augment import AugmentConfig, augmented_images
from groot.training.heads import Head
from groot.training.mixture_config import IN_THE_LOSS, ConfidenceUse

BOX = "label/box"
FEATURES, FEATURE_MASK = "feature/context", "feature_mask/context"


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """`views` in the order of the network's; `state_size` P and `action_size` D are the network's widths; `encoder` is
    the kind of the backbone. A box counts as a detection target from `box_score` on."""

    views: tuple[str, ...]
    state_size: int
    action_size: int
    encoder: str
    confidence: ConfidenceUse = "off"
    confidence_cut: float = 0.5
    box_score: float = 0.3
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0


class Prepare:
    """`heads` in the order of `Windows.embodiments`. With `training` the augmentation is on."""

    def __init__(self, config: PrepareConfig, heads: Sequence[Head], *, training: bool = True) -> None:
        self.config, self.heads, self.training = config, tuple(heads), training

    def __call__(self, windows: dict[str, Any]) -> Batch:
        batch: dict[str, Any] = self._numbers(windows)
        known = batch.pop("state_known")
        random = self._random(windows)
        text = text_numbers(self.config.encoder, windows["instruction"])
        if text is not None:
            batch["text"] = text
        if self.config.encoder == "vlm" and FEATURES not in windows["fields"]:
            batch["instruction"] = windows["instruction"]
        moved = np.zeros((len(windows["step"]), 2), np.float32)
        if FEATURES in windows["fields"]:
            batch["features"] = windows["fields"][FEATURES]
            batch["feature_mask"] = windows["fields"][FEATURE_MASK]
        else:
            pictures, moved = self._pictures(windows, random)
            batch |= pictures
        if BOX in windows["fields"]:
            box = windows["fields"][BOX]
            finite = np.isfinite(box).all(axis=1)
            batch["target_xy"] = (np.nan_to_num(box[:, :2]) + moved).astype(np.float32)
            batch["target_valid"] = windows["field_mask"][BOX] & finite & (box[:, 4] >= self.config.box_score)
        if self.training and self.config.augment.state_noise:
            noise = random.normal(scale=self.config.augment.state_noise, size=batch["state"].shape)
            batch["state"] += (noise * known).astype(np.float32)
        return batch

    def _pictures(
        self, windows: Mapping[str, Any], random: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
        """The pictures, and by how much (x, y) of its size what is in the first view has moved in them."""
        views, images = self.config.views, windows["images"]
        pictures = {
            "images": view_stack(images, views),
            "view_mask": np.stack([windows["image_mask"][view][:, 0] for view in views], axis=1),
        }
        if images[views[0]].shape[1] > 1:
            pictures["future_images"] = view_stack(images, views, place=1)
        moved = np.zeros((len(pictures["images"]), 2), np.float32)
        if self.training:
            pictures["images"], moved = augmented_images(pictures["images"], self.config.augment, random)
        return pictures, moved

    def _numbers(self, windows: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        config = self.config
        count, steps = windows["action"].shape[:2]
        batch: dict[str, NDArray[Any]] = {
            "actions": np.zeros((count, steps, config.action_size), np.float32),
            "mask": np.zeros((count, steps, config.action_size), np.float32),
            "slot": np.zeros(count, np.int64),
            "state": np.zeros((count, config.state_size), np.float32),
            "state_known": np.zeros((count, config.state_size), bool),
        }
        for number, head in enumerate(self.heads):
            rows = np.flatnonzero(windows["embodiment"] == number)
            if not len(rows):
                continue
            size, state = head.action_size, windows["state"][rows, 0]
            mask = windows["action_mask"][rows][..., :size]
            targets = head.targets(windows["action"][rows][..., :size], state)
            batch["actions"][rows, :, :size] = np.where(mask, targets, 0)
            batch["mask"][rows, :, :size] = self._weights(windows, rows, size, mask)
            batch["slot"][rows] = head.slot
            seen = head.seen_state(state)
            if head.state:
                known = windows["state_mask"][rows, 0][..., head.state_columns]
                batch["state"][rows, : seen.shape[-1]] = np.where(known, seen, 0)
                batch["state_known"][rows, : seen.shape[-1]] = known
        return batch

    def _weights(
        self, windows: Mapping[str, Any], rows: NDArray[np.int64], size: int, mask: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Weight of each number in the loss: its mask, and how sure its label is."""
        if self.config.confidence not in IN_THE_LOSS:
            return mask.astype(np.float32)
        sure = windows["action_confidence"][rows][..., :size]
        if self.config.confidence == "cut":
            sure = sure >= self.config.confidence_cut
        weights: NDArray[np.float32] = (mask * sure).astype(np.float32)
        return weights

    def _random(self, windows: Mapping[str, Any]) -> np.random.Generator:
        """A generator that follows from the windows of the batch: the same in any process, and after a resume."""
        key = zlib.crc32(windows["episode"].tobytes() + windows["step"].tobytes())
        return np.random.default_rng([self.config.seed, key])
