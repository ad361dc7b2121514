"""The MJCF text (`model_file`) of a robomimic demonstration, kept by reference and by a hash that no machine changes.

The text holds absolute paths of meshes and textures, which differ from machine to machine. For the hash they become
asset ids ("robosuite/models/assets/..."), so that the same model has the same hash everywhere. Only hash and source are
stored with an episode: the text is 100 KB and mostly the same from one demonstration to the next.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from storage.errors import CorruptFileError, MissingFileError

_FILE = re.compile(r'(?P<head>\bfile=")(?P<path>[^"]*)(?P<tail>")')
# The package is the last folder before models/assets: folders above it may have any name, also that of a package.
_ASSET = re.compile(r"^(?:.*/)?(?P<id>[^/]+/models/assets/.*)$")


def asset_id(path: str) -> str:
    """`path` from its package on, for example "robosuite/models/assets/arenas/table_arena.xml"; other paths stay."""
    match = _ASSET.match(path.replace("\\", "/"))
    return match["id"] if match else path


def relative_model(text: str) -> str:
    """The MJCF `text` with asset ids in place of absolute paths."""
    return _FILE.sub(lambda match: match["head"] + asset_id(match["path"]) + match["tail"], text)


def model_reference(text: str) -> dict[str, Any]:
    """What is stored about a model: its hash and the number of files that it needs."""
    relative = relative_model(text)
    digest = hashlib.sha256(relative.encode()).hexdigest()
    return {"sha256": digest, "assets": len(set(_FILE.findall(relative)))}


def read_model_file(provenance: Mapping[str, Any]) -> str:
    """The MJCF text of an imported demonstration, with asset ids for paths, read again from its source.

    `provenance` is that of the episode. Raises MissingFileError when the source is gone and CorruptFileError when it
    holds another model now.
    """
    imported = provenance.get("imported", {})
    reference = imported.get("model_file")
    if not reference:
        raise MissingFileError("this episode has no model_file; it was not imported from a robomimic file with one")
    path = Path(imported["root"]) / imported["file"]
    if not path.is_file():
        raise MissingFileError(f"{path} is not there any more; the model of {imported['demo']} was in it")
    with h5py.File(path, "r") as file:
        text = str(file[f"data/{imported['demo']}"].attrs.get("model_file", ""))
    if model_reference(text)["sha256"] != reference["sha256"]:
        raise CorruptFileError(f"{path}: the model of {imported['demo']} is not the one that was imported")
    return relative_model(text)
