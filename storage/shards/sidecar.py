"""One sidecar of labels on the disk: a shard without cameras, in the row order of the shard that it labels."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sidecar:
    """One sidecar on the disk, and the ids of the episodes that it says nothing about."""

    path: Path
    unlabelled: frozenset[str] = field(default_factory=frozenset)
