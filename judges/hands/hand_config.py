"""Settings of the hands in a job: whether and how often they are looked for, and what counts as a hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storage.errors import ConfigError, MissingFileError
from storage.ids import file_hash

NONE, LANDMARKER = "none", "landmarker"


@dataclass(frozen=True, kw_only=True)
class HandConfig:
    """`model` is "none", "landmarker" (the models that ship), or the Python file of another one.

    Hands are looked for `looks_hz` times a second; between two looks that both see a hand its landmarks are
    interpolated. `palm_score` and `hand_score` are the least scores (0..1) of a palm that is found and of a hand that
    is believed in.
    """

    model: str = NONE
    looks_hz: float = 6.0
    palm_score: float = 0.6
    hand_score: float = 0.8
    device: str = field(default="auto", metadata={"identity": False})

    def __post_init__(self) -> None:
        if not self.model or self.looks_hz <= 0:
            raise ConfigError(f"expected a model and looks_hz above 0; got {self.model!r} and {self.looks_hz}")
        if not 0 < self.palm_score < 1 or not 0 < self.hand_score < 1:
            raise ConfigError(f"palm_score and hand_score lie within 0..1; got {self.palm_score}, {self.hand_score}")

    def file(self) -> Path | None:
        """The Python file of another finder; None for one that ships. Raises MissingFileError."""
        if self.model in (NONE, LANDMARKER):
            return None
        path = Path(self.model)
        if path.suffix != ".py" or not path.is_file():
            raise MissingFileError(
                f'hands.model is "{NONE}", "{LANDMARKER}" or a Python file with make_finder; got {self.model!r}'
            )
        return path

    def inputs(self) -> Mapping[str, str]:
        """What hands depend on besides this config; raises MissingFileError."""
        path = self.file()
        return {"hands": file_hash(path)} if path is not None else {}

    @property
    def wanted(self) -> bool:
        return self.model != NONE
