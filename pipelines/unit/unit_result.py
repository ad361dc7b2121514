"""What is known after an attempt at a unit: small, plain, and all that ever travels back to the driver."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.unit.failure import Failure
from storage.datasets.manifest import Manifest
from storage.outcomes import Dropped

BAD_INPUT = "bad input"
"""The reason of a drop that was no decision: the stage could not take this input at all."""


@dataclass(frozen=True, kw_only=True)
class UnitResult:
    """A unit is committed, or `failure` says why not.

    `embodiments` are the declarations that its episodes need, `refusal` is why a stage could not take one of its
    inputs, `attempts` counts the processes that died over it where that is known.
    """

    unit_id: str
    items: int
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    bytes: int = 0
    embodiments: tuple[Mapping[str, Any], ...] = ()
    failure: Failure | None = None
    refusal: str = ""
    attempts: int = 0

    @classmethod
    def of(cls, manifest: Manifest, *, items: int, embodiments: tuple[Mapping[str, Any], ...] = ()) -> "UnitResult":
        """The result of a committed unit."""
        # A sidecar holds rows for episodes that its labeller dropped, too.
        dropped = {drop.episode_id for drop in manifest.dropped}
        return cls(
            unit_id=manifest.unit_id,
            items=items,
            kept=sum(episode["episode_id"] not in dropped for episode in manifest.episodes),
            dropped=dict(Counter(drop.reason for drop in manifest.dropped)),
            steps=manifest.shard.steps if manifest.shard else 0,
            bytes=manifest.shard.bytes if manifest.shard else 0,
            embodiments=embodiments,
            refusal=next((_cause(drop) for drop in manifest.dropped if drop.reason == BAD_INPUT), ""),
        )

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "UnitResult":
        """The inverse of `to_text`."""
        record = json.loads(text)
        failure = Failure.from_json(record["failure"]) if record["failure"] else None
        return cls(**{**record, "failure": failure, "embodiments": tuple(record["embodiments"])})


def _cause(drop: Dropped) -> str:
    return "{stage}: {error}: {message}".format_map({"stage": "", "error": "", "message": "", **drop.detail})
