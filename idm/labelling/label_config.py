"""The settings of the stage `idm_label`, kept apart so that planning a job does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from groot.card_hash import stated_hash
from storage.errors import ConfigError
from storage.ids import file_hash

STARTER = "starter"


@dataclass(frozen=True, kw_only=True)
class IdmLabelConfig:
    """`model` is a folder with a fitted model, or "starter" for the one that ships.

    `head` is the body to label as; "" takes each episode's own embodiment. `adjustment` is a JSON file with the gain
    and offset of this source (see `idm.labelling.gain_offset`). Episodes with less than `least_valid_share` of their
    steps labelled are dropped. `cameras` says, view by view, which cameras may fill it where they are called otherwise
    than in training; a quarter of a 2 x 2 grid is "camera:top_left". Frames that stay equal for `freeze_s` are frozen
    video.
    `covered`, `unfamiliar` and `camera_motion` say what becomes of steps at which something covers the view, the
    pictures are unlike the training data, or the camera moves and hardly anything else does. `block` frames are read
    at a time; `bf16` is for GPUs.
    """

    model: str = field(default=STARTER, metadata={"identity": False})
    head: str = ""
    kind: str = "predicted"
    adjustment: str = field(default="", metadata={"identity": False})
    cameras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least_valid_share: float = 0.0
    freeze_s: float = 0.5
    covered: Literal["flag", "unlabel"] = "unlabel"
    unfamiliar: Literal["flag", "unlabel"] = "unlabel"
    camera_motion: Literal["flag", "unlabel"] = "unlabel"
    bf16: bool = False
    device: str = field(default="auto", metadata={"identity": False})
    block: int = field(default=128, metadata={"identity": False})
    threads: int = field(default=2, metadata={"identity": False})

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError('IdmLabelConfig.model must name the folder of a fitted model, or be "starter"')
        if not 0 <= self.least_valid_share <= 1 or self.freeze_s <= 0 or min(self.block, self.threads) < 1:
            raise ConfigError(
                "IdmLabelConfig wants least_valid_share in 0..1, freeze_s > 0, block and threads >= 1; got"
                f" {self.least_valid_share}, {self.freeze_s}, {self.block}, {self.threads}"
            )
        for name in ("covered", "unfamiliar", "camera_motion"):
            if getattr(self, name) not in ("flag", "unlabel"):
                raise ConfigError(f'IdmLabelConfig.{name} is "flag" or "unlabel"; got {getattr(self, name)!r}')

    def inputs(self) -> Mapping[str, str]:
        """What the labels depend on besides this config: content hashes by name, for the unit's id."""
        hashes = {"model": stated_hash(model_folder(self.model), command="pyramid fit idm")}
        if self.adjustment:
            hashes["adjustment"] = file_hash(Path(self.adjustment))
        return hashes


def model_folder(name: str) -> Path:
    """The folder of the model called `name`: the shipped starter, or a path."""
    return Path(__file__).parents[1] / STARTER if name == STARTER else Path(name)
