"""What an inverse dynamics model is trained on. B windows, V views, M members, K steps, D numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groot.encoders.context_tokens import as_pixels
from groot.network.flow_matching import flow_loss
from idm.network.augment import AugmentConfig, augmented
from idm.network.model import Idm, as_context


@dataclass(frozen=True, kw_only=True)
class IdmLossConfig:
    """Weights of the parts beside the motion loss. `reverse_share` of the windows are played backwards in the numbers
    that are absolute (a path walked back is a path), `member_share` is the share of windows that each member sees."""

    anchor: float = 0.5
    pose: float = 0.5
    switch: float = 0.5
    scale: float = 0.1
    covered: float = 0.1
    moved: float = 0.5
    reverse_share: float = 0.5
    member_share: float = 0.8
    huber: float = 0.3
    augment: AugmentConfig = field(default_factory=AugmentConfig)


class IdmLoss:
    """The loss function for `groot.fit.fit`. A batch holds "images" (B, 2, V, h, w, 3) uint8, "motion", "switch" (B,
    K, D), "anchor" (B, D), "mask" (B, K) valid steps, "regressed", "switches", "absolute" (B, D) kinds of numbers,
    "slot" (B,)."""

    def __init__(self, config: IdmLossConfig) -> None:
        self.config = config

    def __call__(self, model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        assert isinstance(model, Idm)
        config = self.config
        batch = _reversed(dict(batch), config.reverse_share)
        pixels = _pixels(batch["images"], model)
        if model.training:
            pixels, covered = augmented(pixels, config.augment)
        else:
            covered = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
        now, later = self._features(model, pixels)
        views = pixels.shape[2]
        tokens = model.tokens(now, later).unflatten(0, (len(pixels), views))  # type: ignore[no-untyped-call]
        seen = (~covered)[:, None] & batch["mask"].bool()
        parts = self._motion(model, tokens, batch, seen)
        places = [model.anchor(frame, batch["slot"], views=views).float() for frame in (now, later)]
        parts |= self._where(places, batch, covered)
        logits = parts.pop("_covered")
        parts["covered"] = F.binary_cross_entropy_with_logits(logits.float(), covered.float())
        weights = {"motion": 1.0, "anchor": config.anchor, "switch": config.switch}
        weights |= {
            "moved": config.moved,
            "pose": config.pose,
            "scale": config.scale,
            "covered": config.covered,
            "flow": 1.0,
        }
        return {"loss": sum((weights[name] * part for name, part in parts.items()), torch.zeros(())), **parts}

    def _where(self, places: list[Tensor], batch: Mapping[str, Any], covered: Tensor) -> dict[str, Tensor]:
        """Losses of what single frames say: where the body is by its absolute actions, and its state at both frames."""
        size = batch["anchor"].shape[1]
        anchored = (~covered & batch["mask"][:, 0].bool())[:, None] & batch["absolute"].bool()
        wrong = F.smooth_l1_loss(places[0][:, :size], batch["anchor"], beta=self.config.huber, reduction="none")
        parts = {"anchor": _mean(wrong, anchored)}
        if batch["states"].shape[2]:
            predicted = torch.stack([place[:, size:] for place in places], dim=1)
            wrong = F.smooth_l1_loss(predicted, batch["states"], beta=self.config.huber, reduction="none")
            parts["pose"] = _mean(wrong, (~covered)[:, None, None] & batch["moved_mask"].bool()[:, None])
        return parts

    def _features(self, model: Idm, pixels: Tensor) -> tuple[Any, Any]:
        count = pixels.shape[0] * pixels.shape[2]
        features = model.encode(pixels.transpose(0, 1).flatten(0, 2))
        return tuple(part[:count] for part in features), tuple(part[count:] for part in features)

    def _motion(self, model: Idm, tokens: Tensor, batch: Mapping[str, Any], seen: Tensor) -> dict[str, Tensor]:
        """Losses of the heads, and the logits of the visibility output."""
        slot, target = batch["slot"], batch["motion"]
        numbers = seen[:, :, None] & batch["regressed"].bool()[:, None]
        parts: dict[str, Tensor] = {}
        if model.flow is not None:
            context = as_context(tokens)
            velocity_context = model.flow.context(context)

            def velocity(noisy: Tensor, tau: Tensor) -> Tensor:
                return model.flow.velocity(  # type: ignore[union-attr]
                    noisy, tau, context_BSC=velocity_context, tokens=context, slot_B=slot, step_mask_BH=seen
                )[0]

            parts["flow"] = flow_loss(velocity, target, numbers, model.config.flow)
        predicted = model.regress(tokens, slot)
        members = predicted.motion
        shares = torch.rand(len(members), len(slot), 1, 1, device=target.device) < self.config.member_share
        error = F.smooth_l1_loss(members.float(), target.expand_as(members), beta=self.config.huber, reduction="none")
        parts["motion"] = _mean(error, numbers & shares)
        wrong = (members.float().mean(dim=0) - target).abs().detach()
        parts["scale"] = _mean(wrong / predicted.scale.float() + predicted.scale.float().log(), numbers)
        parts["moved"] = self._moved(predicted.moved, batch, seen)
        choices = F.binary_cross_entropy_with_logits(predicted.switch.float(), batch["switch"], reduction="none")
        parts["switch"] = _mean(choices, seen[:, :, None] & batch["switches"].bool()[:, None])
        parts["_covered"] = predicted.hidden
        return parts

    def _moved(self, moved: Tensor, batch: Mapping[str, Any], seen: Tensor) -> Tensor:
        """Loss of the change of the state between the two frames, where it is known."""
        if not moved.shape[1]:
            return moved.new_zeros(())
        error = F.smooth_l1_loss(moved.float(), batch["moved"], beta=self.config.huber, reduction="none")
        return _mean(error, batch["moved_mask"].bool() & seen.any(dim=1, keepdim=True))


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    weight = mask.to(values.dtype).expand_as(values)
    return (torch.where(mask, values, torch.zeros_like(values))).sum() / weight.sum().clamp(min=1)


def _pixels(images: Tensor, model: Idm) -> Tensor:
    """(B, 2, V, 3, h, w) at the size that the encoder works with."""
    size = model.image_px
    flat = as_pixels(images.flatten(0, 2), size)
    return flat.reshape(*images.shape[:3], 3, *size)


def _reversed(batch: dict[str, Any], share: float) -> dict[str, Any]:
    """Some windows backwards: frames swapped, absolute numbers from the last step to the first. Only windows whose
    numbers are all absolute and whose steps are all valid; needs the later frame to lie at the last step
    ("reversible")."""
    if not share or "reversible" not in batch:
        return batch
    chosen = (torch.rand(len(batch["slot"]), device=batch["slot"].device) < share) & batch["reversible"].bool()
    if not chosen.any():
        return batch
    motion = batch["motion"]
    backwards = motion.flip(1) - motion[:, -1:]
    batch["motion"] = torch.where(chosen[:, None, None], backwards, motion)
    batch["states"] = torch.where(chosen[:, None, None], batch["states"].flip(1), batch["states"])
    batch["moved"] = torch.where(chosen[:, None], -batch["moved"], batch["moved"])
    batch["anchor"] = torch.where(chosen[:, None], batch["last_anchor"], batch["anchor"])
    batch["images"] = torch.where(chosen[:, None, None, None, None, None], batch["images"].flip(1), batch["images"])
    return batch
