"""The diffusion transformer of System 1: tokens of state and noisy actions that look at a context and at each other.

GR00T N1 (arXiv 2503.14734), section 2.1 and figure 3; adaptive layer norm from DiT (Peebles and Xie, 2023). Blocks
alternate: even ones attend to the context (vision-language or image features), odd ones among the tokens. In the
variant of N1.6 and later the even blocks take turns between the image part and the text part of the context.
B samples, T tokens, S context tokens, C channels. Every mask is True where a token is real, and is honoured.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from groot.network.embodiment_layers import sinusoid
from storage.errors import ConfigError

_TIME_FEATURES = 256


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """Sizes of the transformer. `alternate_context`: even blocks take turns between text and image tokens."""

    layers: int
    heads: int
    head_width: int
    context_width: int
    output_width: int
    dropout: float = 0.2
    alternate_context: bool = False
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.head_width, self.context_width, self.output_width) < 1:
            raise ConfigError(f"sizes of a DiT must be positive; got {self}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"DiTConfig.dropout must be in [0, 1); got {self.dropout}")

    @property
    def width(self) -> int:
        return self.heads * self.head_width


class Attention(nn.Module):
    """Multi-head attention from `width` channels to a source of `source_width`, with the kernels that torch has."""

    def __init__(self, width: int, heads: int, source_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(source_width, width)
        self.value = nn.Linear(source_width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTC: Tensor, source_BSC: Tensor, mask_BS: Tensor | None) -> Tensor:
        def split(t: Tensor) -> Tensor:
            return t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2)

        mask = None if mask_BS is None else mask_BS[:, None, None, :].bool()
        attended = F.scaled_dot_product_attention(
            split(self.query(x_BTC)), split(self.key(source_BSC)), split(self.value(source_BSC)), attn_mask=mask
        )
        result: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        if mask_BS is not None:  # a sample with nothing to look at gets nothing, not the output bias
            result = result * mask_BS.bool().any(dim=1)[:, None, None].to(result.dtype)
        return result


class FeedForward(nn.Module):
    """Two layers, four times as wide inside."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, 4 * width)
        self.second = nn.Linear(4 * width, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.dropout(F.gelu(self.first(x), approximate="tanh"), self.dropout, self.training)
        return F.dropout(self.second(hidden), self.dropout, self.training)


class DiTBlock(nn.Module):
    """Adaptive norm, one attention (to the context or among the tokens), feed-forward; both with residuals."""

    def __init__(self, config: DiTConfig, *, crosses: bool) -> None:
        super().__init__()
        self.crosses = crosses
        self.dropout = config.dropout
        self.modulation = nn.Linear(config.width, 2 * config.width)
        self.attention = Attention(config.width, config.heads, config.context_width if crosses else config.width)
        self.feed_forward = FeedForward(config.width, config.dropout)

    def forward(self, x_BTC: Tensor, time_BC: Tensor, source_BSC: Tensor | None, mask_BS: Tensor | None) -> Tensor:
        scale, shift = self.modulation(F.silu(time_BC))[:, None].chunk(2, dim=-1)
        normed = F.layer_norm(x_BTC, x_BTC.shape[-1:]) * (1 + scale) + shift
        attended = self.attention(normed, normed if source_BSC is None else source_BSC, mask_BS)
        x_BTC = x_BTC + F.dropout(attended, self.dropout, self.training)
        result: Tensor = x_BTC + self.feed_forward(F.layer_norm(x_BTC, x_BTC.shape[-1:]))
        return result


class DiT(nn.Module):
    """Tokens (B, T, width) and flow time (B,) -> (B, T, output_width)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.time_first = nn.Linear(_TIME_FEATURES, width)
        self.time_second = nn.Linear(width, width)
        self.blocks = nn.ModuleList(DiTBlock(config, crosses=index % 2 == 0) for index in range(config.layers))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.output_width)

    def forward(
        self,
        tokens_BTC: Tensor,
        tau_B: Tensor,
        *,
        context_BSC: Tensor,
        context_mask_BS: Tensor | None = None,
        token_mask_BT: Tensor | None = None,
        image_mask_BS: Tensor | None = None,
    ) -> Tensor:
        """`image_mask_BS` tells image tokens of the context from text; only the alternating variant needs it."""
        # Time is resolved to a thousandth, as in the published model.
        features = sinusoid((tau_B * 1000).floor(), _TIME_FEATURES).to(tokens_BTC.dtype)
        time_BC = self.time_second(F.silu(self.time_first(features)))
        x = tokens_BTC
        for index, block in enumerate(self.blocks):
            source = context_BSC if index % 2 == 0 else None
            mask = self._context_mask(index, context_mask_BS, image_mask_BS) if index % 2 == 0 else token_mask_BT
            if self.config.gradient_checkpointing and self.training:
                x = checkpoint(block, x, time_BC, source, mask, use_reentrant=False)
            else:
                x = block(x, time_BC, source, mask)
        scale, shift = self.final_modulation(F.silu(time_BC))[:, None].chunk(2, dim=-1)
        result: Tensor = self.out(F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift)
        return result

    def _context_mask(self, index: int, context_mask: Tensor | None, image_mask: Tensor | None) -> Tensor | None:
        if not self.config.alternate_context:
            return context_mask
        if image_mask is None:
            raise ConfigError("a DiT with alternate_context needs image_mask_BS, which tells image tokens from text")
        chosen = ~image_mask.bool() if index % 4 == 0 else image_mask.bool()
        return chosen if context_mask is None else chosen & context_mask.bool()


class SelfAttentionStack(nn.Module):
    """Plain pre-norm transformer over the context before the DiT sees it (N1.5 and later)."""

    def __init__(self, *, layers: int, heads: int, head_width: int, dropout: float = 0.2) -> None:
        super().__init__()
        width = heads * head_width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.attentions = nn.ModuleList(Attention(width, heads, width) for _ in range(layers))
        self.feed_forwards = nn.ModuleList(FeedForward(width, dropout) for _ in range(layers))
        self.dropout = dropout

    def forward(self, x_BSC: Tensor, mask_BS: Tensor | None = None) -> Tensor:
        for index, (attention, feed_forward) in enumerate(zip(self.attentions, self.feed_forwards, strict=True)):
            normed = self.norms[2 * index](x_BSC)
            x_BSC = x_BSC + F.dropout(attention(normed, normed, mask_BS), self.dropout, self.training)
            x_BSC = x_BSC + feed_forward(self.norms[2 * index + 1](x_BSC))
        return x_BSC


def masked_mean(x_BSC: Tensor, mask_BS: Tensor | None) -> Tensor:
    """Mean over the real tokens, (B, C)."""
    if mask_BS is None:
        return x_BSC.mean(dim=1)
    weight = mask_BS.to(x_BSC.dtype)[..., None]
    return (x_BSC * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def all_real(batch: int, tokens: int, *, device: torch.device) -> Tensor:
    """A mask that admits everything."""
    return torch.ones(batch, tokens, dtype=torch.bool, device=device)
