"""How a unit becomes visible: stage, read back, rename, and last of all the manifest, which is the commit.

    _staging/<unit>.<attempt>/<unit>.zarr   written and read back here, by this attempt alone
        |  rename                           the first attempt wins; an equal one behind it is thrown away
    shards/<unit>.zarr                      not visible to any reader yet
        |  manifest, put once               from here on the unit is committed and never changes
    manifest/<unit>.json

A process that dies between two lines leaves garbage that `leftovers` finds and nothing else. A lock held while
publishing (it is the kernel's and dies with its holder) lets an attempt replace what a dead one left half published.
"""

import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from storage.atomic_files import is_temporary, sync_folder
from storage.datasets.manifest import Manifest, read_manifest, write_manifest
from storage.datasets.unit_paths import STAGING, Sink, sinks_of
from storage.errors import CorruptFileError
from storage.ids import file_crc32c
from storage.locks import holding
from storage.shards.reader import Shard
from storage.shards.record import ShardRecord

_LOG = logging.getLogger(__name__)


def is_committed(sink: Sink, unit_id: str) -> bool:
    """Whether a unit is there for readers."""
    return sink.manifest(unit_id).exists()


class Attempt:
    """One try at one unit. Write the shard to `path`, then `publish`; leaving the block without it leaves nothing.

    with Attempt(sink, unit_id) as attempt:
        writer = ShardWriter(attempt.path, unit_id=unit_id)
        ...
        attempt.publish(Manifest(unit_id=unit_id, shard=writer.close(), ...))
    """

    def __init__(self, sink: Sink, unit_id: str) -> None:
        self._sink = sink
        self._unit_id = unit_id
        kind = sink.name.replace("/", "-")
        name = f"{kind}.{unit_id}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._folder = sink.root / STAGING / name
        self.path = self._folder / f"{unit_id}.zarr"

    def __enter__(self) -> "Attempt":
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def publish(self, manifest: Manifest, *, within: AbstractContextManager[None] | None = None) -> bool:
        """Read the shard back, move it into place and commit. Returns False where another attempt was first.

        What is put into place is put there `within` a block of the caller's, such as a lock. Raises CorruptFileError
        when what was written does not read back, OSError when the world says no.
        """
        if manifest.shard is not None:
            Shard(self.path).check()
            sync_folder(self._folder)
        with within or nullcontext(), publishing(self._sink, self._unit_id):
            if is_committed(self._sink, self._unit_id):
                return False
            if manifest.shard is not None:
                self._move_into_place(manifest.shard)
            return write_manifest(self._sink.root, manifest)

    def _move_into_place(self, record: ShardRecord) -> None:
        target = self._sink.shard(self._unit_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not holds(target, record):
            # Left by an attempt that died before its manifest; nobody can have read it.
            _LOG.warning("%s was left by an attempt that died, and differs from this one: replacing it", target)
            target.rename(self._folder / "replaced.zarr")
        if not target.exists():
            self.path.rename(target)
        sync_folder(target.parent)


def holds(folder: Path, record: ShardRecord) -> bool:
    """Whether `folder` holds exactly the files of `record`, to the byte."""
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if present != {file.path for file in record.files}:
        return False
    paths = {file: folder / file.path for file in record.files}
    if any(path.stat().st_size != file.bytes for file, path in paths.items()):
        return False
    return all(file_crc32c(path) == file.crc32c for file, path in paths.items())


def check_committed(sink: Sink, unit_id: str) -> None:
    """Raise CorruptFileError where the shard of a committed unit is not, to the byte, what was committed."""
    record = read_manifest(sink.manifest(unit_id)).shard if is_committed(sink, unit_id) else None
    if record is not None and not holds(sink.shard(unit_id), record):
        raise CorruptFileError(
            f"{sink.shard(unit_id)} is not what was committed; `pyramid data verify` says where, `pyramid data repair`"
            " makes it again"
        )


def publishing(sink: Sink, unit_id: str) -> AbstractContextManager[None]:
    """Hold the right to publish one unit, or to take it away. A dead holder's right ends with it."""
    return holding(sink.root / STAGING / f"{sink.name.replace('/', '-')}.{unit_id}.lock")


def leftovers(root: Path, *, older_than_s: float = 3600.0) -> list[Path]:
    """What dead attempts left behind: everything staged, files half written, and shards that no manifest speaks of.

    Only what has not changed for `older_than_s` is named, so that a run that is going on is left alone.
    """
    staged = [*(root / STAGING).iterdir()] if (root / STAGING).is_dir() else []
    orphans = [
        shard
        for sink in sinks_of(root)
        if sink.shards.is_dir()
        for shard in sink.shards.glob("*.zarr")
        if not is_committed(sink, shard.stem)
    ]
    return sorted(path for path in (*staged, *half_written(root), *orphans) if _age_s(path) >= older_than_s)


def half_written(root: Path) -> Iterator[Path]:
    """Small files that a process was writing when it was killed."""
    homes = (root, root / "plan", *(folder for sink in sinks_of(root) for folder in sink.folders))
    yield from (path for home in homes if home.is_dir() for path in home.iterdir() if is_temporary(path))


def _age_s(path: Path) -> float:
    try:
        newest = max(inner.stat().st_mtime for inner in (path, *path.rglob("*")))
    except FileNotFoundError:
        return 0.0  # it is going away this moment, so somebody is at work on it
    return time.time() - newest
