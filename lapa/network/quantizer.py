"""The bottleneck of a latent action model: every vector of a short sequence becomes one of a few codes.

"vq", "residual" and "fsq" wrap vector-quantize-pytorch. `NoiseSubstitution` is ours, after Vali & Bäckström, "NSVQ:
Noise Substitution in Vector Quantization for Machine Learning" (IEEE Access 2022), which LAPA (arXiv 2410.11758) uses.
Legend: B batch, C codes of a pair, D numbers of a code vector, K codebook size, Q quantizers in a row.
"""

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize

from storage.errors import ConfigError, UnknownNameError

QuantizerKind = Literal["vq", "residual", "fsq", "nsvq", "none"]


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """Which bottleneck, and how large. `levels` is FSQ's, `depth` the quantizers in a row of "residual".

    `revive_below` is the moving average of uses a batch under which a code counts as dead and is drawn anew from the
    batch ("vq", "residual"). "nsvq" replaces, as its paper does, every `nsvq_replace_every` batches up to
    `nsvq_replace_until`.
    """

    kind: QuantizerKind = "vq"
    codebook_size: int = 64
    levels: tuple[int, ...] = (4, 4, 4)
    depth: int = 2
    decay: float = 0.99
    commitment: float = 0.25
    revive_below: float = 2.0
    rotation_trick: bool = True
    nsvq_replace_every: int = 100
    nsvq_replace_until: int = 5000
    nsvq_min_share: float = 0.01

    def __post_init__(self) -> None:
        if self.kind not in get_args(QuantizerKind):
            raise UnknownNameError.among("quantizer", self.kind, get_args(QuantizerKind))
        if self.kind == "fsq" and (not self.levels or min(self.levels) < 2):
            raise ConfigError(f"fsq takes at least one level, each 2 or more; got {self.levels}")
        if self.codebook_size < 2 or self.depth < 1:
            raise ConfigError(f"a codebook takes at least 2 codes and depth 1; got {self.codebook_size}, {self.depth}")
        if not 0.0 < self.decay < 1.0 or self.commitment < 0 or self.nsvq_replace_every < 1:
            raise ConfigError(
                "expected 0 < decay < 1, commitment >= 0, nsvq_replace_every >= 1;"
                f" got {self.decay}, {self.commitment}, {self.nsvq_replace_every}"
            )

    @property
    def size(self) -> int:
        """How many different codes one index can name; 0 without a bottleneck."""
        if self.kind == "none":
            return 0
        return math.prod(self.levels) if self.kind == "fsq" else self.codebook_size

    @property
    def indices_per_code(self) -> int:
        """Indices that one vector turns into: one, or one a quantizer in a row, or none."""
        return {"none": 0, "residual": self.depth}.get(self.kind, 1)


@dataclass(frozen=True)
class Quantized:
    """What came out of the bottleneck: `codes` (B, C, D), `indices` (B, C x Q) int64, and the loss to add."""

    codes: Tensor
    indices: Tensor
    loss: Tensor


class Quantizer(nn.Module):
    """The bottleneck that `config` chooses, for vectors of `code_dim` numbers."""

    def __init__(self, config: QuantizerConfig, code_dim: int) -> None:
        super().__init__()
        self.config = config
        self.layer: nn.Module = _layer(config, code_dim)

    def forward(self, latent_BCD: Tensor) -> Quantized:
        """Quantise; in training mode codebooks with moving averages learn from the batch."""
        zero = latent_BCD.new_zeros(())
        if self.config.kind == "none":
            return Quantized(latent_BCD, latent_BCD.new_zeros((len(latent_BCD), 0), dtype=torch.long), zero)
        codes_BCD, indices, *losses = self.layer(latent_BCD)
        return Quantized(codes_BCD, indices.flatten(1).long(), losses[0].sum() if losses else zero)

    def codes_of(self, indices_BI: Tensor) -> Tensor:
        """The code vectors (B, C, D) that `indices_BI` name; the inverse of `forward` on its own output."""
        if self.config.kind == "none":
            raise ConfigError("a model without a bottleneck has no codes to look up")
        if self.config.kind == "residual":
            grouped = indices_BI.view(len(indices_BI), -1, self.config.depth)
            return cast(Tensor, cast(ResidualVQ, self.layer).get_output_from_indices(grouped))
        if self.config.kind == "fsq":
            return cast(Tensor, cast(FSQ, self.layer).indices_to_codes(indices_BI))
        if self.config.kind == "nsvq":
            return cast(NoiseSubstitution, self.layer).codebook[indices_BI]
        return cast(Tensor, cast(VectorQuantize, self.layer).get_output_from_indices(indices_BI))


def _layer(config: QuantizerConfig, code_dim: int) -> nn.Module:
    if config.kind == "none":
        return nn.Identity()
    if config.kind == "nsvq":
        return NoiseSubstitution(config, code_dim)
    if config.kind == "fsq":
        # A level of two is lopsided around zero unless the package is told to keep it symmetric.
        return cast(nn.Module, FSQ(list(config.levels), dim=code_dim, preserve_symmetry=2 in config.levels))
    options = {
        "codebook_size": config.codebook_size,
        "decay": config.decay,
        "commitment_weight": config.commitment,
        "threshold_ema_dead_code": config.revive_below,
        "rotation_trick": config.rotation_trick,
        "kmeans_init": True,
    }
    if config.kind == "residual":
        return cast(nn.Module, ResidualVQ(dim=code_dim, num_quantizers=config.depth, **options))
    return cast(nn.Module, VectorQuantize(dim=code_dim, **options))


class NoiseSubstitution(nn.Module):
    """NSVQ: in training the error of quantisation is replaced by noise of the same length, so that gradients flow
    to the codebook and to the encoder without commitment or codebook losses (equation 4 of the paper). Codes that
    are hardly used are replaced by slightly moved copies of used ones (section III-B).

    LAPA's own code counts a code once a batch and divides by the batch size, so that living codes are
    overwritten; here a share is uses over all vectors seen since the last replacement.
    """

    codebook: nn.Parameter
    uses: Tensor
    batches: Tensor

    def __init__(self, config: QuantizerConfig, code_dim: int) -> None:
        super().__init__()
        self.config = config
        self.codebook = nn.Parameter(torch.randn(config.codebook_size, code_dim) / math.sqrt(code_dim))
        self.register_buffer("uses", torch.zeros(config.codebook_size))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, latent_BCD: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised vectors and their indices (B, C); outside training the nearest code itself."""
        indices_BC = torch.cdist(latent_BCD.flatten(0, 1), self.codebook).argmin(-1).view(latent_BCD.shape[:2])
        nearest_BCD = self.codebook[indices_BC]
        if not self.training:
            return nearest_BCD, indices_BC
        self._count(indices_BC)
        noise_BCD = torch.randn_like(latent_BCD)
        error_BC1 = (latent_BCD - nearest_BCD).norm(dim=-1, keepdim=True)
        direction_BCD = noise_BCD / noise_BCD.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        return latent_BCD + error_BC1 * direction_BCD, indices_BC

    @torch.no_grad()
    def _count(self, indices_BC: Tensor) -> None:
        self.uses += torch.bincount(indices_BC.flatten(), minlength=len(self.uses))
        self.batches += 1
        batches = int(self.batches)
        if batches % self.config.nsvq_replace_every == 0 and batches <= self.config.nsvq_replace_until:
            self._replace_dead()

    def _replace_dead(self) -> None:
        dead_K = self.uses / self.uses.sum().clamp_min(1) < self.config.nsvq_min_share
        if dead_K.any() and not dead_K.all():
            chosen = torch.multinomial(self.uses.masked_fill(dead_K, 0.0), int(dead_K.sum()), replacement=True)
            copies = self.codebook[chosen]
            spread = self.codebook[~dead_K].std(unbiased=False).clamp_min(1e-3)
            self.codebook[dead_K] = copies + 0.1 * spread * torch.randn_like(copies)
        self.uses.zero_()
