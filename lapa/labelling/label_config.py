"""The settings of the stage `lapa_label`. Kept apart so that planning a job does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from groot.card_hash import stated_hash
from storage.errors import ConfigError

STARTER = "starter"


@dataclass(frozen=True, kw_only=True)
class LapaLabelConfig:
    """`model` is a model's folder, or "starter" for the one that ships.

    `force` labels with a model that fails its gates, and video that it does not understand; failures then stand in the
    provenance of every label, and such video is flagged as unfamiliar. `cameras` (in order of preference) and
    `windows_s` (embodiment -> seconds) replace what the model was trained with. `camera_motion` says what becomes of
    pairs in which the camera moves and hardly anything else does. Of each clip `samples` pairs are rebuilt to see
    whether the model understands it. `block` frames are decoded at a time, by `threads`; `batch` pairs are encoded
    (32: what they need stays in a core's cache).
    """

    model: str = field(default=STARTER, metadata={"identity": False})
    force: bool = False
    cameras: tuple[str, ...] = ()
    windows_s: Mapping[str, float] = field(default_factory=dict)
    camera_motion: Literal["flag", "unlabel"] = "unlabel"
    samples: int = 12
    batch: int = field(default=32, metadata={"identity": False})
    device: str = field(default="auto", metadata={"identity": False})
    block: int = field(default=128, metadata={"identity": False})
    threads: int = field(default=2, metadata={"identity": False})

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError('LapaLabelConfig.model must name the folder of a fitted model, or be "starter"')
        if min(self.batch, self.block, self.threads) < 1 or self.samples < 0:
            raise ConfigError(
                "LapaLabelConfig wants batch, block and threads >= 1, samples >= 0; got"
                f" {self.batch}, {self.block}, {self.threads}, {self.samples}"
            )
        if self.camera_motion not in ("flag", "unlabel"):
            raise ConfigError(f'LapaLabelConfig.camera_motion is "flag" or "unlabel"; got {self.camera_motion!r}')

    def inputs(self) -> Mapping[str, str]:
        """What the labels depend on besides this config: the model's content hash, for the unit's id."""
        return {"model": stated_hash(model_folder(self.model), command="pyramid fit lapa")}


def model_folder(name: str) -> Path:
    """The folder of the model called `name`: the shipped starter, or a path."""
    return Path(__file__).parents[1] / STARTER if name == STARTER else Path(name)
