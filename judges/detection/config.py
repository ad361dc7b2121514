"""Settings of the stage `detect`; they load without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from judges.vision_language.config import weights_hash
from storage.errors import ConfigError

STARTER = "starter"
STARTER_FOLDER = Path(__file__).parents[1] / "starter_detector"


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """`model` is "starter" or a folder of any zero-shot detector of transformers (OWL-v2, Grounding DINO, ...).

    The target is what `query` names, or else the object of the instruction. A frame is looked at every `stride_s`
    seconds; a box counts from a `threshold` of its score on. Between two boxes at most `longest_gap_s` apart it is
    interpolated; a box whose centre jumps by more than `jump` of the picture and back at once is left out.
    """

    model: str = field(default=STARTER, metadata={"identity": False})
    query: str = ""
    stride_s: float = 0.2
    threshold: float = 0.3
    longest_gap_s: float = 1.0
    jump: float = 0.25
    cameras: tuple[str, ...] = ()
    batch: int = field(default=16, metadata={"identity": False})
    device: str = field(default="auto", metadata={"identity": False})

    def __post_init__(self) -> None:
        if min(self.stride_s, self.longest_gap_s, self.jump) <= 0 or self.batch < 1 or not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"stride_s, longest_gap_s and jump are above 0, threshold in 0..1 and batch >= 1; got {self}"
            )

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return STARTER_FOLDER if self.model == STARTER else Path(self.model)

    def inputs(self) -> Mapping[str, str]:
        """What boxes depend on besides this config."""
        return {"model": weights_hash(self.folder)}
