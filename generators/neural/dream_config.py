"""Settings of the stage `generate_clips`; they load without torch, so that a driver can check a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from generators.neural import model_reference
from generators.neural.models.options import ModelOptions
from storage.errors import ConfigError
from storage.ids import content_id, file_hash

Fit = Literal["refuse", "stretch", "pad", "crop"]
_IDENTITY_FREE = {"identity": False}


@dataclass(frozen=True, kw_only=True)
class GenerateClipsConfig:
    """`model` is "starter", a folder or a hub id, `lora` a LoRA for it (a folder or a file). `source` is the data set
    or the folder of pictures that the first frames of the items lie in.

    `frames`, `size_px`, `steps` and `guidance` are the model's own where they are left alone; `rate_hz` is what the
    model draws at, not a choice of speed. `fit` says what becomes of a first frame of another aspect ratio. `options`
    are those of `generators.neural.models.options.ModelOptions`. `codec` is how frames are stored. `batch_size` clips
    are drawn together where the model can.
    """

    model: str = field(default="starter", metadata=_IDENTITY_FREE)
    lora: str = field(default="", metadata=_IDENTITY_FREE)
    source: str = field(default="@dataset", metadata=_IDENTITY_FREE)
    lora_weight: float = 1.0
    frames: int = 0
    size_px: tuple[int, int] | None = None
    rate_hz: float = 0.0
    steps: int = 0
    guidance: float = -1.0
    negative_prompt: str = ""
    fit: Fit = "refuse"
    codec: str = "jpeg"
    batch_size: int = 8
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError('model must be "starter", the folder of a diffusers pipeline, or a hub id')
        if self.fit not in get_args(Fit):
            raise ConfigError(f"fit is one of {', '.join(get_args(Fit))}; got {self.fit!r}")
        if min(self.frames, self.steps) < 0 or self.rate_hz < 0 or self.batch_size < 1:
            raise ConfigError(
                f"frames, steps, rate_hz of 0 or more and batch_size of 1 or more; got {self.frames}, {self.steps},"
                f" {self.rate_hz}, {self.batch_size}"
            )
        self.model_options()

    def model_options(self) -> ModelOptions:
        """`options`, checked."""
        unknown = sorted(self.options.keys() - ModelOptions.__dataclass_fields__.keys())
        if unknown:
            raise ConfigError(f"unknown model options {unknown}; known: {sorted(ModelOptions.__dataclass_fields__)}")
        return ModelOptions(**self.options)

    def identity(self) -> dict[str, Any]:
        """The settings that a clip follows from: all but where things lie."""
        named = (each.name for each in fields(self) if each.metadata.get("identity", True))
        return {name: getattr(self, name) for name in named}

    def inputs(self) -> Mapping[str, str]:
        """What the clips depend on besides this config: hashes of model and LoRA, for the unit's id."""
        from generators.neural.models.lora import lora_file

        hashes = {"model": model_hash(self.model)}
        if self.lora:
            hashes["lora"] = file_hash(lora_file(self.lora))
        return hashes


def model_hash(name: str) -> str:
    """A hash of a model folder: names, sizes and, of small files, content; of a hub id, the id."""
    folder = Path(model_reference(name))
    if not folder.is_dir():
        return content_id("hub", name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    small = 64 * 1024 * 1024
    parts = [
        (str(path.relative_to(folder)), file_hash(path) if path.stat().st_size < small else path.stat().st_size)
        for path in files
    ]
    return content_id(parts)
