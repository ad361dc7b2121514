"""The latent action model: two frames in, codes between, the later frame out.

LAPA (arXiv 2410.11758, section 3.1) and GR00T N1 (arXiv 2503.14734, section 2.3): a VQ-VAE on frames a fixed time
apart. **The label of a pair is `Pairs.latent`, the continuous embedding before quantisation** (GR00T N1, appendix F).
Ours: the decoder predicts the change; image space may be pixels or the features of a frozen tower.
Legend: B batch, X channels, H height, W width, C codes, D numbers of a code, I indices, A numbers of a label.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lapa.network.decoder import DecoderConfig, TransformerDecoder, UNetDecoder
from lapa.network.encoder import LapaEncoderConfig, PairEncoder
from lapa.network.quantizer import Quantized, Quantizer, QuantizerConfig
from storage.errors import ConfigError, SchemaError


class Tower(Protocol):
    """A frozen encoder of single images: `width` features at each place of a `grid` (rows, columns). It is never saved
    with the model: it is loaded again from its source (see `lapa.network.frozen_backbones`)."""

    width: int
    grid: tuple[int, int]

    def __call__(self, images_BHW3: Tensor) -> Tensor:
        """Features (B, width, rows, columns) of uint8 images."""
        ...


@dataclass(frozen=True, kw_only=True)
class LapaConfig:
    """A latent action model. `height_px` and `width_px` are the size every frame is brought to.

    `tower` names the frozen encoder whose features are input and target; "" means pixels. `labels` says how many
    numbers the auxiliary action head of each embodiment has; the heads only serve training.
    """

    height_px: int = 96
    width_px: int = 96
    codes: int = 8
    code_dim: int = 16
    encoder: LapaEncoderConfig = field(default_factory=LapaEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    tower: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.height_px, self.width_px) < 16 or min(self.codes, self.code_dim) < 1:
            raise ConfigError(
                f"expected frames of at least 16x16 px and at least one code; got {self.width_px}x{self.height_px} px,"
                f" {self.codes} codes of {self.code_dim}"
            )

    @property
    def latent_size(self) -> int:
        """Numbers of the label of one step."""
        return self.codes * self.code_dim

    @property
    def indices(self) -> int:
        """Code indices of one step."""
        return self.codes * self.quantizer.indices_per_code

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "LapaConfig":
        """The inverse of `to_json`."""
        parts = {"encoder": LapaEncoderConfig, "decoder": DecoderConfig, "quantizer": QuantizerConfig}
        try:
            built = {name: part(**_tuples(record[name])) for name, part in parts.items()}
            return cls(**{**record, **built})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"this is no configuration of a latent action model: {error}") from error


def _tuples(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}


@dataclass(frozen=True)
class Pairs:
    """What the model says about a batch of pairs: `latent` and `codes` (B, C, D), `indices` (B, I), the later frame
    rebuilt from the codes `predicted` (B, X, H, W), and the quantiser's loss."""

    latent: Tensor
    codes: Tensor
    indices: Tensor
    predicted: Tensor
    loss: Tensor


class LatentActionModel(nn.Module):
    """Encoder, bottleneck and decoder of `config`; `tower` is needed when the config names one."""

    def __init__(self, config: LapaConfig, *, tower: Tower | None = None) -> None:
        super().__init__()
        if bool(config.tower) != (tower is not None):
            raise ConfigError(
                f"the config names the tower {config.tower!r}, and {'none' if tower is None else 'one'} came"
            )
        self.config = config
        # Kept out of the module tree: frozen, large, and loaded from its own source.
        self._tower = (tower,)
        size_px = (config.height_px, config.width_px)
        channels = 3
        if tower is not None:
            size_px, channels = tower.grid, tower.width
        self.encoder = PairEncoder(
            config.encoder, channels=channels, size_px=size_px, codes=config.codes, code_dim=config.code_dim
        )
        self.quantizer = Quantizer(config.quantizer, config.code_dim)
        self.decoder: nn.Module
        if config.decoder.kind == "unet":
            self.decoder = UNetDecoder(config.decoder, channels=channels, size_px=size_px, numbers=config.latent_size)
        else:
            self.decoder = TransformerDecoder(
                config.decoder, channels=channels, size_px=size_px, code_dim=config.code_dim
            )
        self.heads = nn.ModuleDict({name: nn.Linear(config.latent_size, size) for name, size in config.labels.items()})

    @property
    def tower(self) -> Tower | None:
        """The frozen tower, where the model looks through one."""
        return self._tower[0]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def look(self, images_BHW3: Tensor) -> Tensor:
        """Frames (B, X, H, W) in the model's image space from uint8 images (B, H, W, 3) of the configured size."""
        expected = (self.config.height_px, self.config.width_px, 3)
        if images_BHW3.dtype != torch.uint8 or tuple(images_BHW3.shape[1:]) != expected:
            raise SchemaError(
                f"the model looks at uint8 images (B, {expected[0]}, {expected[1]}, 3);"
                f" got {images_BHW3.dtype} {tuple(images_BHW3.shape)}"
            )
        images_BHW3 = images_BHW3.to(self.device)
        if self.tower is not None:
            with torch.no_grad():
                return self.tower(images_BHW3)
        return images_BHW3.permute(0, 3, 1, 2).float() / 255 - 0.5

    def quantise(self, latent_BCD: Tensor) -> Quantized:
        """Through the bottleneck; always in float32, since distances between codes are small differences."""
        with torch.autocast(latent_BCD.device.type, enabled=False):
            out: Quantized = self.quantizer(latent_BCD.float())
        return out

    def decode(self, now_BXHW: Tensor, codes_BCD: Tensor) -> Tensor:
        """The later frame, from the present one (behind a stop-gradient) and the codes."""
        now_BXHW = now_BXHW.detach()
        predicted: Tensor = now_BXHW + self.decoder(now_BXHW, codes_BCD)
        return predicted

    def forward(self, now_BXHW: Tensor, later_BXHW: Tensor) -> Pairs:
        """Encode, quantise and decode pairs of frames in the model's image space."""
        latent_BCD = self.encoder(now_BXHW, later_BXHW).float()
        out = self.quantise(latent_BCD)
        return Pairs(latent_BCD, out.codes, out.indices, self.decode(now_BXHW, out.codes), out.loss)
