"""Where a unit's files lie: shards at the top of a data set, label sidecars in a folder of their own.

shards/<unit>.zarr          manifest/<unit>.json                 failed/<unit>.json
labels/<name>/<unit>.zarr   labels/<name>/manifest/<unit>.json   labels/<name>/failed/<unit>.json
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import ConfigError

SHARDS = "shards"
STAGING = "_staging"
_LABELS = re.compile(r"labels/([A-Za-z0-9][A-Za-z0-9_.\-]*)")


@dataclass(frozen=True)
class Sink:
    """One kind of output of the data set in `root`: "shards", or "labels/<name>" for sidecars of the same units."""

    root: Path
    name: str = SHARDS

    def __post_init__(self) -> None:
        if self.name != SHARDS and not _LABELS.fullmatch(self.name):
            raise ConfigError(f'a sink is "shards" or "labels/<name>"; got {self.name!r}')

    @property
    def is_labels(self) -> bool:
        return self.name != SHARDS

    @property
    def _home(self) -> Path:
        return self.root / self.name if self.is_labels else self.root

    @property
    def shards(self) -> Path:
        return self.root / self.name

    @property
    def manifests(self) -> Path:
        return self._home / "manifest"

    @property
    def dead_letters(self) -> Path:
        return self._home / "failed"

    @property
    def index(self) -> Path:
        return self._home / "index"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of small files that belong to this sink."""
        return (self.manifests, self.dead_letters, self.index)

    def shard(self, unit_id: str) -> Path:
        """The folder of a unit's shard."""
        return self.shards / f"{unit_id}.zarr"

    def manifest(self, unit_id: str) -> Path:
        """The file whose existence is the commit of a unit."""
        return self.manifests / f"{unit_id}.json"

    def dead_letter(self, unit_id: str) -> Path:
        """The file that says why a unit was given up."""
        return self.dead_letters / f"{unit_id}.json"

    def committed(self) -> set[str]:
        """Ids of the units that are committed: one directory listing, no file is opened."""
        return set(_stems(self.manifests))

    def dead(self) -> set[str]:
        """Ids of the units that were given up and not committed since."""
        return set(_stems(self.dead_letters)) - self.committed()


def _stems(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (path.stem for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")


def sinks_of(root: Path) -> list[Sink]:
    """Every sink that the data set in `root` has: its shards, then its labels by name."""
    folder = root / "labels"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [Sink(root), *(Sink(root, f"labels/{name}") for name in names)]
