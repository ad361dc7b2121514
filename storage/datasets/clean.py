"""Cleaning a data set of what dead attempts left behind."""

import logging
import shutil
from pathlib import Path

from storage.datasets.commit import is_committed, leftovers, publishing
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import bury
from storage.datasets.index import old_indices
from storage.datasets.unit_paths import Sink, sinks_of
from storage.shards.streams import disk_errors

_LOG = logging.getLogger(__name__)


def clean(root: Path, *, older_than_s: float = 3600.0) -> list[Path]:
    """Remove what no reader sees and nobody has touched for `older_than_s`: staged attempts, shards without a manifest,
    superseded indices, and dead letters of units that were committed after all. Returns what was removed."""
    Dataset(root)
    removed = leftovers(root, older_than_s=older_than_s)
    sinks = {sink.shards: sink for sink in sinks_of(root)}
    for sink in sinks.values():
        removed += old_indices(sink)
        if risen := bury(sink):
            _LOG.info("removed %d dead letters of units that were committed since", risen)
    with disk_errors(root):
        return [path for path in removed if _remove(path, sinks.get(path.parent))]


def _remove(path: Path, sink: Sink | None) -> bool:
    """Remove a leftover; a shard in `sink` only while nobody is about to write its manifest."""
    if sink is None:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return True
    with publishing(sink, path.stem):
        if is_committed(sink, path.stem):
            return False
        shutil.rmtree(path, ignore_errors=True)
    return True
