"""The inverse dynamics model: two frames in, the chunk of actions between them out. No state, no language.

GR00T N1 (arXiv 2503.14734), appendix F and DreamGen (arXiv 2505.12705), section 3: System-1 DiT with flow matching on
image features. Ours: the early difference (see `idm.network.encoder`), a small ensemble of regression heads with a
predicted scale beside or in place of the flow head, anchors and switches (see `idm.fitting.targets`), and a visibility
output. B windows, V views, S tokens a view, C channels, K steps of a chunk, D numbers of an action, M members of the
ensemble.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groot.encoders.context_tokens import Tokens
from groot.network.dit import DiTConfig
from groot.network.embodiment_layers import LinearBank
from groot.network.flow_matching import FlowConfig
from groot.network.model import ActionHead
from groot.presets import BackboneConfig, HeadConfig
from idm.network.encoder import Features, FrameEncoder, IdmEncoderConfig, PairTrunk, TowerEncoder, TowerTrunk, norms_of
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class IdmConfig:
    """Everything that shapes the network and its windows.

    Frames are looked at `frame_offsets_s` after the present; the chunk has `chunk_steps` steps over `chunk_s` seconds
    from the present on. `action_sizes` has one entry for each body, in the order of their slots; `state_sizes`
    too: how many numbers of its state, if any, are asked for their change between the frames. `tower` replaces our
    own encoder by a pretrained one. `samples` noise samples are averaged by the flow head.
    """

    preset: str = "starter"
    views: tuple[str, ...] = ("front",)
    frame_offsets_s: tuple[float, float] = (0.0, 0.5)
    chunk_s: float = 0.5
    chunk_steps: int = 10
    action_sizes: tuple[int, ...] = (7,)
    state_sizes: tuple[int, ...] = ()
    head: Literal["regression", "flow"] = "regression"
    members: int = 3
    hidden: int = 256
    dropout: float = 0.1
    samples: int = 4
    flow: FlowConfig = field(default_factory=FlowConfig)
    flow_layers: int = 4
    encoder: IdmEncoderConfig = field(default_factory=IdmEncoderConfig)
    tower: BackboneConfig | None = None

    def __post_init__(self) -> None:
        first, second = self.frame_offsets_s
        checks = {
            "views": bool(self.views),
            "frame_offsets_s": second > first,
            "chunk_s": self.chunk_s > 0,
            "chunk_steps": self.chunk_steps >= 1,
            "action_sizes": bool(self.action_sizes) and min(self.action_sizes) >= 1,
            "head": self.head in ("regression", "flow"),
            "state_sizes": len(self.state_sizes) in (0, len(self.action_sizes))
            and min(self.state_sizes, default=0) >= 0,
            "members": self.members >= 1,
            "samples": self.samples >= 1,
        }
        for name, good in checks.items():
            if not good:
                raise ConfigError(f"IdmConfig.{name} is out of range: {getattr(self, name)!r}")

    @property
    def step_s(self) -> float:
        """Seconds of a step of the chunk."""
        return self.chunk_s / self.chunk_steps

    @property
    def rate_hz(self) -> float:
        """Steps of the chunk a second: the trained rate."""
        return self.chunk_steps / self.chunk_s

    @property
    def action_size(self) -> int:
        return max(self.action_sizes)

    @property
    def state_size(self) -> int:
        return max(self.state_sizes, default=0)

    @property
    def image_px(self) -> tuple[int, int]:
        """Height and width that images are resized to."""
        return self.encoder.image_px if self.tower is None else self.tower.image_px

    @property
    def interval_s(self) -> float:
        """Time between the two frames."""
        return self.frame_offsets_s[1] - self.frame_offsets_s[0]


class Prediction(NamedTuple):
    """Normalised predictions: `motion` (M, B, K, D), `scale` (B, K, D) the expected size of its error, `switch` (B,
    K, D) logits, `moved` (B, P) the change of the state, `pooled` (B, C) the features behind them, `hidden` (B,) the
    logit that something covers the view."""

    motion: Tensor
    scale: Tensor
    switch: Tensor
    moved: Tensor
    pooled: Tensor
    hidden: Tensor


class Idm(nn.Module):
    """See the module. `encode` once a frame, `predict` once a window."""

    def __init__(self, config: IdmConfig) -> None:
        super().__init__()
        self.config = config
        self.holds_norms = False
        slots, size = len(config.action_sizes), config.action_size
        if config.tower is None:
            self.encoder: nn.Module = FrameEncoder(config.encoder)
            self.trunk: nn.Module = PairTrunk(config.encoder)
            tokens, coarse = config.encoder.grid, config.encoder.channels[-1]
        else:
            self.encoder = TowerEncoder(config.tower)
            self.trunk = TowerTrunk(config.tower.width, config.encoder.token_width)
            tokens, coarse = TowerTrunk.grid, config.tower.width
        count = tokens[0] * tokens[1]
        token_width = config.encoder.token_width
        self.squeeze = nn.Linear(token_width, 24)
        self.pool_norm = nn.LayerNorm(24 * count)
        self.pool = nn.Linear(24 * count, config.hidden)
        self.view = nn.Parameter(torch.randn(len(config.views), config.hidden) * 0.02)
        chunk = config.chunk_steps * size
        self.members = nn.ModuleList(
            _Member(config.hidden, config.dropout, slots, chunk) for _ in range(config.members)
        )
        self.scale = LinearBank(slots, config.hidden, chunk)
        self.switch = LinearBank(slots, config.hidden, chunk)
        self.moved = LinearBank(slots, config.hidden, config.state_size) if config.state_size else None
        self.covered = nn.Linear(config.hidden, 1)
        self.anchor_squeeze = nn.Conv2d(coarse, 24, 1)
        self.anchor_pool = nn.AdaptiveAvgPool2d(tokens)
        self.anchor_norm = nn.LayerNorm(24 * count)
        self.anchor_hidden = nn.Linear(24 * count, config.hidden)
        self.anchor_out = LinearBank(slots, config.hidden, size + config.state_size)
        self.flow = ActionHead(_flow_head(config)) if config.head == "flow" else None

    @property
    def image_px(self) -> tuple[int, int]:
        """Height and width that images are resized to."""
        return self.config.image_px

    def train(self, mode: bool = True) -> "Idm":
        """As for any module; with `holds_norms` batch norms keep their statistics in training too."""
        super().train(mode)
        if self.holds_norms:
            for norm in norms_of(self):
                norm.eval()
        return self

    def encode(self, images: Tensor) -> Features:
        """Features of single frames (N, H, W, 3) uint8, computed once a frame: the trunk's maps, then the anchor's."""
        scales: Features = self.encoder(images)
        trunk: Any = self.trunk
        where = self.anchor_pool(F.relu(self.anchor_squeeze(scales[-1])))
        return (*trunk.project(scales), where)

    def tokens(self, now: Features, later: Features) -> Tensor:
        """Motion tokens (N, S, C) of pairs of frames."""
        tokens: Tensor = self.trunk(now, later)
        return tokens

    def anchor(self, now: Features, slot_B: Tensor, *, views: int) -> Tensor:
        """Where the body is, normalised, from the features of B x `views` single frames: the absolute numbers of the
        action and the state, (B, D + P)."""
        squeezed = now[-1].flatten(1)
        hidden = F.gelu(self.anchor_hidden(F.dropout(self.anchor_norm(squeezed), self.config.dropout, self.training)))
        mean = hidden.reshape(-1, views, hidden.shape[-1]).mean(dim=1)
        where: Tensor = self.anchor_out(mean[:, None], slot_B)[:, 0]
        return where

    def predict(self, tokens_BVSC: Tensor, slot_B: Tensor) -> Prediction:
        """Everything that the heads say of a batch of windows; the flow head's samples are drawn here."""
        pooled = self.pooled(tokens_BVSC)
        shape = (len(pooled), self.config.chunk_steps, self.config.action_size)
        regressed = self._regressed(pooled, slot_B, shape)
        if self.flow is None:
            return regressed
        return regressed._replace(motion=self._sampled(tokens_BVSC, slot_B, shape))

    def regress(self, tokens_BVSC: Tensor, slot_B: Tensor) -> Prediction:
        """What all heads but the flow head say."""
        pooled = self.pooled(tokens_BVSC)
        return self._regressed(pooled, slot_B, (len(pooled), self.config.chunk_steps, self.config.action_size))

    def _regressed(self, pooled: Tensor, slot_B: Tensor, shape: tuple[int, int, int]) -> Prediction:
        motion = torch.stack([member(pooled, slot_B).reshape(shape) for member in self.members])
        # The scale learns from finished features and must not bend them.
        scale = F.softplus(self.scale(pooled.detach()[:, None], slot_B).reshape(shape)) + 1e-3
        switch = self.switch(pooled[:, None], slot_B).reshape(shape)
        moved = pooled.new_zeros(len(pooled), 0) if self.moved is None else self.moved(pooled[:, None], slot_B)[:, 0]
        return Prediction(motion, scale, switch, moved, pooled, self.covered(pooled)[:, 0])

    def pooled(self, tokens_BVSC: Tensor) -> Tensor:
        """One vector a window (B, C): the mean over views."""
        squeezed = self.squeeze(tokens_BVSC).flatten(2)
        hidden = self.pool(F.dropout(self.pool_norm(squeezed), self.config.dropout, self.training))
        pooled: Tensor = F.gelu(hidden + self.view).mean(dim=1)
        return pooled

    def _sampled(self, tokens_BVSC: Tensor, slot_B: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """`samples` chunks from the flow head, each from noise of its own."""
        assert self.flow is not None
        count = self.config.samples
        context = as_context(tokens_BVSC)
        repeated = Tokens(*(part.repeat_interleave(count, dim=0) for part in context))
        slots = slot_B.repeat_interleave(count)
        mask = torch.ones(shape, dtype=torch.bool, device=tokens_BVSC.device).repeat_interleave(count, dim=0)
        # The same noise for every window: what a window is labelled with must not depend on its neighbours in the
        # batch.
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, count, *shape[1:], generator=generator).to(tokens_BVSC)
        noise = noise.expand(shape[0], -1, -1, -1).reshape(-1, *shape[1:])
        drawn = self.flow.sample(repeated, mask_BHD=mask, slot_B=slots, noise_BHD=noise)
        return drawn.reshape(shape[0], count, *shape[1:]).transpose(0, 1)


class _Member(nn.Module):
    """One regression head of the ensemble."""

    def __init__(self, width: int, dropout: float, slots: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.dropout = dropout
        self.out = LinearBank(slots, width, outputs)

    def forward(self, pooled_BC: Tensor, slot_B: Tensor) -> Tensor:
        hidden = F.dropout(F.gelu(self.hidden(pooled_BC)), self.dropout, self.training) + pooled_BC
        result: Tensor = self.out(hidden[:, None], slot_B)[:, 0]
        return result


def as_context(tokens_BVSC: Tensor) -> Tokens:
    """The tokens of all views as the context of a transformer."""
    values = tokens_BVSC.flatten(1, 2)
    mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
    return Tokens(values, mask, mask)


def _flow_head(config: IdmConfig) -> HeadConfig:
    width = config.encoder.token_width
    dit = DiTConfig(
        layers=config.flow_layers,
        heads=max(width // 32, 1),
        head_width=32,
        context_width=width,
        output_width=width,
        dropout=0.1,
    )
    return HeadConfig(
        dit=dit,
        flow=config.flow,
        embodiments=len(config.action_sizes),
        state_size=0,
        action_size=config.action_size,
        horizon=config.chunk_steps,
        hidden=width,
        positions=config.chunk_steps + 1,
    )
