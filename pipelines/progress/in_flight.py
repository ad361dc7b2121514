"""Units that are being worked on, item by item: read from the recordings of the processes that work on them, so that it
works for every engine, and from outside too."""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from pipelines.unit.crash_recorder import recorded


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """What units in progress have come to: `units` is the sum of the parts that are done of each, `kept` the episodes
    that went through the last stage."""

    units: float = 0.0
    kept: int = 0


def in_flight(root: Path, *, since_s: float, among: Container[str] | None = None) -> InFlight:
    """The units (of `among`, if given) that processes worked on at or after `since_s` (seconds since the epoch)."""
    units, kept = 0.0, 0
    for recording in recorded(root, since_s=since_s):
        if among is None or recording.unit_id in among:
            units += recording.share
            kept += recording.kept
    return InFlight(units=units, kept=kept)
