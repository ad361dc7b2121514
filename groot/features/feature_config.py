"""Settings of the stage `context_features`, in a module of their own: planning a job must not import torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from groot.presets import BackboneConfig
from storage.errors import ConfigError
from storage.ids import file_hash


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """`backbone` is the frozen encoder, cut at its layer; `views` maps each of its views to the cameras that may fill
    it. Every step gets `tokens` tokens, padded; an encoder that gives more is refused."""

    backbone: BackboneConfig
    views: Mapping[str, tuple[str, ...]]
    tokens: int = 160
    batch: int = field(default=16, metadata={"identity": False})
    device: str = field(default="", metadata={"identity": False})

    def __post_init__(self) -> None:
        if self.backbone.kind not in ("vision", "vlm"):
            raise ConfigError(
                f"features are stored of encoders of kind vision or vlm, which stay frozen; got {self.backbone.kind!r}"
            )
        if self.backbone.tune_top or self.backbone.tune_vision:
            raise ConfigError("an encoder that is tuned has no features to store; set tune_top 0 and tune_vision false")
        if not self.views or self.tokens < 1 or self.batch < 1:
            raise ConfigError(f"expected views and at least one token and step; got {self.views}, {self.tokens}")

    def inputs(self) -> Mapping[str, str]:
        """The content of the encoder's files, where it lies in a folder."""
        folder = Path(self.backbone.source)
        if not folder.is_dir():
            return {"encoder": self.backbone.source}
        return {path.name: file_hash(path) for path in sorted(folder.iterdir()) if path.is_file()}

    def stated(self) -> dict[str, Any]:
        """What the features stand for, for their provenance."""
        return {"backbone": asdict(self.backbone), "views": dict(self.views), "tokens": self.tokens}
