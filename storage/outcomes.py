"""What a stage says about each of its inputs: kept, or dropped with the reason and the score behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.episode import Episode


@dataclass(frozen=True)
class Kept:
    """An episode that goes on to the next stage."""

    episode: Episode


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A decision against an episode. It is committed beside the data, so that thresholds can move later.

    `score` is the number that caused the drop (NaN is not allowed; None where there is no number).
    """

    episode_id: str
    reason: str
    score: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


Outcome = Kept | Dropped
