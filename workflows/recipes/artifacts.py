"""Artifacts of a run: models fitted by a step, taken again while what they were fitted to is unchanged.

    <run>/models/<name>/               what the fit wrote (card, weights, and training/ to go on from)
    <run>/models/<name>/artifact.json  the hash of its inputs, and of what was written

A fit whose inputs are unchanged is not done again. One whose inputs changed is moved aside and fitted anew. One whose
files were changed by hand is refused: neither the old labels nor the new ones would say what made them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.atomic_files import read_json, sealed_json_bytes, write_whole
from storage.errors import AlreadyWrittenError, MissingFileError
from storage.ids import content_id, file_hash

log = logging.getLogger(__name__)

FOLDER = "models"
FILE = "artifact.json"
MARKER = ".inputs"
PROGRESS = "training"
"""What a fit goes on from, inside an artifact; it is not part of what was made."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A finished model. `inputs` and `content` are hashes, `fresh`: this run made it, `line` is for people."""

    folder: Path
    inputs: str
    content: str
    fresh: bool
    line: str


def artifact(root: Path, name: str, inputs: Any, make: Callable[[Path], str]) -> Artifact:
    """The artifact `name` of the run in `root`: what is there if it was made from `inputs`, or what `make` makes now.

    `inputs` is anything with a canonical JSON form. `make` gets the folder and returns one line; one that was stopped
    finds its `training/` again. Raises AlreadyWrittenError where the files are not those that were recorded.
    """
    folder, wanted = root / FOLDER / name, content_id("artifact", inputs)
    known = _known(folder)
    if known is not None and known["inputs"] == wanted:
        if content_hash(folder) != known["content"]:
            raise AlreadyWrittenError(
                f"{folder} was changed since it was fitted; put the files back, or remove the folder to fit anew"
            )
        return Artifact(folder=folder, inputs=wanted, content=known["content"], fresh=False, line=known["line"])
    _make_room(folder, wanted, known)
    began_s = time.monotonic()
    line = make(folder)
    content = content_hash(folder)
    record = {"inputs": wanted, "content": content, "line": line, "seconds": round(time.monotonic() - began_s, 1)}
    write_whole(folder / FILE, sealed_json_bytes(record))
    return Artifact(folder=folder, inputs=wanted, content=content, fresh=True, line=line)


def is_current(root: Path, name: str, inputs: Any) -> bool:
    """Whether the artifact is there and was made from `inputs`."""
    known = _known(root / FOLDER / name)
    return known is not None and known["inputs"] == content_id("artifact", inputs)


def content_hash(folder: Path) -> str:
    """The hash of every file that a fit made, whatever it needed on the way."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (FILE, MARKER))
    parts = sorted((path.relative_to(folder).as_posix(), path) for path in files)
    return content_id([(name, file_hash(path)) for name, path in parts if name.split("/")[0] != PROGRESS])


def _known(folder: Path) -> dict[str, Any] | None:
    try:
        return read_json(folder / FILE)
    except MissingFileError:
        return None


def _make_room(folder: Path, wanted: str, known: dict[str, Any] | None) -> None:
    """Move a model of other inputs aside, an unfinished one too; mark the folder with what is about to be made."""
    marker = folder / MARKER
    if known is not None or (folder.exists() and (not marker.exists() or marker.read_text() != wanted)):
        aside = folder.with_name(f"{folder.name}.{time.strftime('%Y%m%dT%H%M%S')}")
        log.warning("%s was fitted to other inputs: moved to %s", folder, aside)
        folder.rename(aside)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(marker, wanted.encode())
