"""The settings of the stage `lapa_label`, in a module of their own: who only plans a job need not load torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from groot.card_hash import stated_hash
from storage.errors import ConfigError

STARTER = "starter"


@dataclass(frozen=True, kw_only=True)
class LapaLabelConfig:
    """`model` is a model's folder, or "starter" for the one that ships.

    `force` labels with a model that fails its gates; the failures then stand in the provenance of every label.
    `cameras` (in order of preference) and `windows_s` (embodiment -> seconds) replace what the model was trained with.
    """

    model: str = field(default=STARTER, metadata={"identity": False})
    force: bool = False
    cameras: tuple[str, ...] = ()
    windows_s: Mapping[str, float] = field(default_factory=dict)
    batch: int = field(default=64, metadata={"identity": False})
    device: str = field(default="", metadata={"identity": False})

    def __post_init__(self) -> None:
        if not self.model or self.batch < 1:
            raise ConfigError(f"expected a model and a batch of at least 1; got {self.model!r}, {self.batch}")

    def inputs(self) -> Mapping[str, str]:
        """What the labels depend on besides this config: the model's content hash, for the unit's id."""
        return {"model": stated_hash(model_folder(self.model), command="pyramid fit lapa")}


def model_folder(name: str) -> Path:
    """The folder of the model called `name`: the shipped starter, or a path."""
    return Path(__file__).parents[1] / STARTER if name == STARTER else Path(name)
