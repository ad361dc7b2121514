"""Small files that are there whole or not at all, and that survive a power cut once they are there."""

import errno
import json
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import CorruptFileError, MissingFileError
from storage.seals import KEY, PLACEHOLDER, check_seal, sealed

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, replacing what is there; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _write_beside(path, content)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_once(path: Path, content: bytes) -> bool:
    """Put `content` at `path` unless something is there already; returns whether this call put it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _write_beside(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            return False
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


# Some mounted object stores and FAT have no hard links; there the lock of the commit alone keeps two writers apart.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def _write_beside(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def sync_folder(folder: Path) -> None:
    """Make the names inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """`record` as readable JSON with sorted keys: equal records give equal bytes."""
    return (json.dumps(record, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def sealed_json_bytes(record: Mapping[str, Any]) -> bytes:
    """`record` as JSON, a line for each of its keys, with a checksum over all of it, which `read_json` checks."""
    # Indenting all of it would take Python's encoder, which is several times slower than the one in C.
    pairs = sorted({**record, KEY: PLACEHOLDER}.items())
    lines = [f" {json.dumps(key)}: {json.dumps(value, sort_keys=True, allow_nan=False)}" for key, value in pairs]
    return sealed(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def is_temporary(path: Path) -> bool:
    """Whether `path` is named as a file that is being written; one that stays was left by a process that was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; raises MissingFileError, or CorruptFileError where its checksum does not match."""
    try:
        content = path.read_bytes()
        record = json.loads(content)
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there") from None
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is not valid JSON ({error}); it was not written by this project") from error
    if not isinstance(record, dict):
        raise CorruptFileError(f"{path} must hold a JSON object; got {type(record).__name__}")
    if record.pop(KEY, None) is not None:
        check_seal(content, path)
    return record
