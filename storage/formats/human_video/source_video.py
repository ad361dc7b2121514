"""What an adapter says about one video of a data set of human video: where it lies, what was said about it and when."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.episode import Layer
from storage.errors import SchemaError

END_OF_FILE_S = 1e9
"""The end of a text that speaks of everything up to the end of its video."""


@dataclass(frozen=True, kw_only=True)
class Narration:
    """A text about a moment (`stop_s` None) or a stretch of a video, seconds after its first frame.

    `origin` names the field of the source that the text is from, such as "ego4d narration".
    """

    start_s: float
    stop_s: float | None
    text: str
    origin: str

    def __post_init__(self) -> None:
        if not self.start_s >= 0 or (self.stop_s is not None and not self.stop_s > self.start_s):
            raise SchemaError(f"a narration begins at 0 s or later and ends after that; got {self}")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something in a source that cannot be used, beside a video that can: a row, a missing file. Counted and named."""

    where: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SourceVideo:
    """One video. `file` lies below the root of the data set. `narrations` are in order of time; they may overlap.

    `poses` is a file with recorded poses beside it, "" without one. `about` is kept in the provenance. `problems` name
    what was said about the video and cannot be used.
    """

    file: str
    name: str
    camera: str = "view"
    narrations: tuple[Narration, ...] = ()
    poses: str = ""
    layer: Layer = "human"
    about: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How one data set of human video lies on the disk.

    `recognises` looks at a folder; `videos` yields what lies there, in a fixed order. `may_copy` says whether the
    licence lets processed frames be passed on; `licence` says where that stands, in one sentence.
    """

    name: str
    title: str
    recognises: Callable[[Path], bool]
    videos: Callable[[Path], Iterator[SourceVideo]]
    may_copy: bool
    licence: str
