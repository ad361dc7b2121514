"""One segment of one video as the item of a unit: planned from headers, read by a worker that knows nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from storage.episode import Layer
from storage.errors import InputError, MissingFileError
from storage.formats.human_video.source_video import Narration, Problem
from storage.formats.import_item import fingerprint
from storage.ids import canonical_json


@dataclass(frozen=True, kw_only=True)
class SegmentItem:
    """The frames of `file` (below `root`) from `start_s` up to `stop_s`, seconds after its first frame.

    `episode_id` names the segment; the clips that are found in it get ids of their own. `mark` is the fingerprint of
    the file when it was planned. `rate` is the rate to read at, a fraction as text. `narrations` are those that
    overlap the segment, in seconds of the whole file. `unreadable` says why the file's header could not be read.
    """

    episode_id: str
    dataset: str
    root: str
    file: str
    name: str
    camera: str
    mark: str
    start_s: float = 0.0
    stop_s: float | None = None
    rate: str = "0"
    size_px: tuple[int, int] = (0, 0)
    layer: Layer = "human"
    narrations: tuple[Narration, ...] = ()
    poses: str = ""
    may_copy: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unreadable: str = ""

    @property
    def path(self) -> Path:
        return Path(self.root) / self.file

    @property
    def rate_fraction(self) -> Fraction:
        return Fraction(self.rate)

    @property
    def duration_s(self) -> float:
        """Seconds of the segment as planned; 0 where the file does not tell."""
        return max(0.0, (self.stop_s or self.start_s) - self.start_s)

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = json.loads(canonical_json(self))
        return plain

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SegmentItem":
        """The inverse of `to_json`."""
        changes = {
            "size_px": (int(record["size_px"][0]), int(record["size_px"][1])),
            "narrations": tuple(Narration(**each) for each in record["narrations"]),
            "problems": tuple(Problem(**each) for each in record["problems"]),
        }
        return cls(**{**record, **changes})

    def check_unchanged(self) -> None:
        """Raise MissingFileError or InputError when the file vanished or changed since it was planned."""
        now = fingerprint(self.path)
        if not now:
            raise MissingFileError(f"{self.path} is not there any more; put it back and run the same command again")
        if now != self.mark:
            raise InputError(f"{self.path} has changed since the job was planned; plan it again")
