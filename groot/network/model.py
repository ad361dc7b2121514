"""GR00T's two systems as one module: an encoder of images and text, and the flow-matching action head (System 1).

GR00T N1 (arXiv 2503.14734), section 2.1 and appendix F (detection loss); FLARE (arXiv 2505.15659) for the
future tokens of N1.5.
B samples, S context tokens, C channels, H steps of a chunk, D numbers of an action, P numbers of a state.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groot.encoders.context_tokens import Tokens
from groot.network.backbone import build_backbone
from groot.network.dit import DiT, SelfAttentionStack, masked_mean
from groot.network.embodiment_layers import ActionEncoderBank, PerceptronBank, Slots
from groot.network.flow_matching import flow_loss, integrate
from groot.presets import GrootConfig, HeadConfig
from storage.errors import SchemaError


class ActionHead(nn.Module):
    """System 1: context tokens, state and noisy actions in, velocity of the actions out."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        dit, slots = config.dit, config.embodiments
        self.state_encoder = (
            PerceptronBank(slots, config.state_size, config.hidden, dit.width) if config.state_size else None
        )
        self.action_encoder = ActionEncoderBank(slots, config.action_size, dit.width)
        self.action_decoder = PerceptronBank(slots, dit.output_width, config.hidden, config.action_size)
        self.position = nn.Parameter(torch.randn(config.positions, dit.width) * 0.02)
        self.future = (
            nn.Parameter(torch.randn(config.future_tokens, dit.width) * 0.02) if config.future_tokens else None
        )
        self.context_norm = nn.LayerNorm(dit.context_width) if config.context_norm else nn.Identity()
        layers, heads, head_width = config.adapter
        self.adapter = (
            SelfAttentionStack(layers=layers, heads=heads, head_width=head_width, dropout=dit.dropout)
            if layers
            else None
        )
        self.dit = DiT(dit)

    def context(self, tokens: Tokens) -> Tensor:
        """The context as the transformer sees it, (B, S, C); computed once a sample, not once an Euler step."""
        values: Tensor = self.context_norm(tokens.values_BSC)
        return values if self.adapter is None else self.adapter(values, tokens.mask_BS)

    def velocity(
        self,
        noisy_BHD: Tensor,
        tau_B: Tensor,
        *,
        context_BSC: Tensor,
        tokens: Tokens,
        slot_B: Tensor | Slots,
        state_BP: Tensor | None = None,
        step_mask_BH: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Velocity (B, H, D) and, with future tokens, what the transformer made of them (B, N, output width)."""
        batch, horizon, _ = noisy_BHD.shape
        slots = Slots.of(slot_B)
        actions = self.action_encoder(noisy_BHD, tau_B, slots) + self.position[:horizon]
        parts: list[Tensor] = []
        if self.state_encoder is not None:
            if state_BP is None:
                raise SchemaError(f"this head takes a state of {self.config.state_size} numbers; got none")
            parts.append(self.state_encoder(self._dropped(state_BP)[:, None], slots))
        if self.future is not None:
            parts.append(self.future.expand(batch, -1, -1))
        before = sum(part.shape[1] for part in parts)
        mask = None
        if step_mask_BH is not None:
            ones = step_mask_BH.new_ones(batch, before, dtype=torch.bool)
            mask = torch.cat([ones, step_mask_BH.bool()], dim=1)
        out = self.dit(
            torch.cat([*parts, actions], dim=1),
            tau_B,
            context_BSC=context_BSC,
            context_mask_BS=tokens.mask_BS,
            token_mask_BT=mask,
            image_mask_BS=tokens.image_BS,
        )
        future = None if self.future is None else out[:, before - len(self.future) : before]
        return self.action_decoder(out[:, before:], slots), future

    def _dropped(self, state_BP: Tensor) -> Tensor:
        if not self.training or not self.config.state_dropout:
            return state_BP
        keep = torch.rand(len(state_BP), 1, device=state_BP.device) >= self.config.state_dropout
        return state_BP * keep.to(state_BP.dtype)

    def losses(
        self,
        tokens: Tokens,
        *,
        actions_BHD: Tensor,
        mask_BHD: Tensor,
        slot_B: Tensor,
        state_BP: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The flow-matching loss, and the transformer's output at the future tokens."""
        context, slots = self.context(tokens), Slots.of(slot_B)
        future: list[Tensor | None] = [None]
        if draws := self.config.flow.draws - 1:
            tokens = Tokens(*(_repeated(part, draws) for part in tokens))
            slots = slots.repeated(len(actions_BHD), draws + 1)
            context, actions_BHD, mask_BHD = (_repeated(part, draws) for part in (context, actions_BHD, mask_BHD))
            state_BP = None if state_BP is None else _repeated(state_BP, draws)

        def velocity(noisy: Tensor, tau: Tensor) -> Tensor:
            predicted, future[0] = self.velocity(
                noisy,
                tau,
                context_BSC=context,
                tokens=tokens,
                slot_B=slots,
                state_BP=state_BP,
                step_mask_BH=mask_BHD.bool().any(dim=-1),
            )
            return predicted

        loss = flow_loss(velocity, actions_BHD, mask_BHD, self.config.flow)
        return loss, None if future[0] is None else future[0][: len(future[0]) // (draws + 1)]

    @torch.no_grad()
    def sample(
        self,
        tokens: Tokens,
        *,
        mask_BHD: Tensor,
        slot_B: Tensor | Slots,
        state_BP: Tensor | None = None,
        noise_BHD: Tensor | None = None,
        loop: "Loop | None" = None,
    ) -> Tensor:
        """Actions (B, H, D) for one draw of noise (given, or standard normal); `loop` in place of `denoise`."""
        noise = torch.randn(mask_BHD.shape, device=mask_BHD.device) if noise_BHD is None else noise_BHD
        return (loop or self.denoise)(LoopInputs(*tokens, noise, mask_BHD, state_BP), Slots.of(slot_B))

    @torch.no_grad()
    def denoise(self, inputs: "LoopInputs", slots: Slots) -> Tensor:
        """The whole Euler loop, (B, H, D). Draws nothing and reads nothing on the host (`groot.network.captured`)."""
        tokens = Tokens(inputs.values_BSC, inputs.mask_BS, inputs.image_BS)
        context, step_mask = self.context(tokens), inputs.mask_BHD.bool().any(dim=-1)

        def velocity(noisy: Tensor, tau: Tensor) -> Tensor:
            return self.velocity(
                noisy,
                tau,
                context_BSC=context,
                tokens=tokens,
                slot_B=slots,
                state_BP=inputs.state_BP,
                step_mask_BH=step_mask,
            )[0]

        return integrate(velocity, inputs.noise_BHD, inputs.mask_BHD, self.config.flow)


class LoopInputs(NamedTuple):
    """What the Euler loop looks at: context tokens (see `Tokens`), noise and mask (B, H, D), state (B, P)."""

    values_BSC: Tensor
    mask_BS: Tensor
    image_BS: Tensor
    noise_BHD: Tensor
    mask_BHD: Tensor
    state_BP: Tensor | None


Loop = Callable[[LoopInputs, Slots], Tensor]
"""An Euler loop: `ActionHead.denoise`, or a recording of it."""


def _repeated(part: Tensor, times: int) -> Tensor:
    """`part` (B, ...) and `times` copies of it, one after the other."""
    return part.repeat(times + 1, *(1 for _ in part.shape[1:]))


class Groot(nn.Module):
    """Encoder and action head. A batch is a mapping with "images" (B, V, H, W, 3) uint8, "state" (B, P), "actions" and
    "mask" (B, H, D), "slot" (B,); optional "text" (B, L), "vlm" or "instruction" (see the backbones), "features"
    (B, S, C) with "feature_mask" (B, S) in place of images (see `groot.features`), "target_xy" and "target_valid"
    (detection), "future_images" (B, V, H, W, 3)."""

    def __init__(self, config: GrootConfig, backbone: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone) if backbone is None else backbone
        self.head = ActionHead(config.head)
        width = config.head.dit.context_width
        self.detector = nn.Linear(width, 2) if config.detection_weight else None
        self.aligner = nn.Linear(config.head.dit.output_width, width) if config.future_weight else None

    def encode(self, batch: Mapping[str, Any]) -> Tokens:
        """The context tokens of a batch."""
        if "features" in batch:
            return self._stored(batch["features"], batch["feature_mask"])
        if self.config.backbone.kind == "vlm" and "vlm" not in batch:
            prepared = self.backbone.prepare(batch["images"], batch["instruction"])  # type: ignore[operator]
            batch = {**batch, "vlm": {name: part.to(batch["images"].device) for name, part in prepared.items()}}
        tokens: Tokens = self.backbone(batch)
        return tokens

    def _stored(self, features_BSC: Tensor, kind_BS: Tensor) -> Tokens:
        """Tokens of features that were computed before: `kind_BS` is 0 for padding, 1 for text, 2 for an image."""
        project = self.backbone.project
        assert isinstance(project, nn.Module)
        values: Tensor = project(features_BSC.float())
        return Tokens(values, kind_BS > 0, kind_BS == 2)

    def losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """ "loss" = flow + detection_weight x detection + future_weight x alignment, and each part by its name."""
        tokens = self.encode(batch)
        flow, future = self.head.losses(
            tokens,
            actions_BHD=batch["actions"],
            mask_BHD=batch["mask"],
            slot_B=batch["slot"],
            state_BP=batch.get("state"),
        )
        parts = {"flow": flow}
        total = flow
        if self.detector is not None and "target_xy" in batch:
            parts["detection"] = self.detection_loss(tokens, batch["target_xy"], batch["target_valid"])
            total = total + self.config.detection_weight * parts["detection"]
        if self.aligner is not None and future is not None and "future_images" in batch:
            with torch.no_grad():
                ahead = self.backbone({**batch, "images": batch["future_images"]})
                target = masked_mean(ahead.values_BSC, ahead.mask_BS)
            parts["future"] = 1 - F.cosine_similarity(self.aligner(future).mean(dim=1), target, dim=-1).mean()
            total = total + self.config.future_weight * parts["future"]
        return {"loss": total, **parts}

    def detection_loss(self, tokens: Tokens, target_xy_B2: Tensor, valid_B: Tensor) -> Tensor:
        """Squared distance between the predicted and the true box centre, both over image width and height."""
        assert self.detector is not None
        predicted = self.detector(masked_mean(tokens.values_BSC, tokens.mask_BS))
        weight = valid_B.to(predicted.dtype)
        squares: Tensor = ((predicted - target_xy_B2) ** 2).sum(dim=-1) * weight
        return squares.sum() / weight.sum().clamp(min=1)

    @torch.no_grad()
    def act(self, batch: Mapping[str, Any], *, noise_BHD: Tensor | None = None, loop: Loop | None = None) -> Tensor:
        """Normalised action chunks (B, H, D); `slot` may be `Slots`, `loop` a recording of `head.denoise`."""
        return self.head.sample(
            self.encode(batch),
            mask_BHD=batch["mask"],
            slot_B=batch["slot"],
            state_BP=batch.get("state"),
            noise_BHD=noise_BHD,
            loop=loop,
        )


def groot_loss(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """The loss function for `groot.fit.fit`."""
    assert isinstance(model, Groot)
    return model.losses(batch)
