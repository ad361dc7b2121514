"""Cleaning a data set of what dead attempts left behind."""

import logging
import shutil
from pathlib import Path

from storage.datasets.commit import leftovers
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import bury
from storage.datasets.index import old_indices
from storage.datasets.unit_paths import sinks_of
from storage.shards.streams import disk_errors

_LOG = logging.getLogger(__name__)


def clean(root: Path, *, older_than_s: float = 3600.0) -> list[Path]:
    """Remove what no reader sees and nobody has touched for `older_than_s`: staged attempts, shards without a manifest,
    superseded indices, and dead letters of units that were committed after all. Returns what was removed."""
    Dataset(root)
    removed = leftovers(root, older_than_s=older_than_s)
    for sink in sinks_of(root):
        removed += old_indices(sink)
        if risen := bury(sink):
            _LOG.info("removed %d dead letters of units that were committed since", risen)
    with disk_errors(root):
        for path in removed:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return removed
