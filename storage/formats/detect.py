"""What a path holds, found by looking at it."""

from pathlib import Path

import h5py

from storage.errors import InputError, MissingFileError
from storage.formats.import_item import FormatName
from storage.formats.robomimic.hdf5_file import HDF5_SUFFIXES
from storage.formats.video.reader import VIDEO_SUFFIXES


def detect_format(path: Path) -> FormatName:
    """The foreign format of `path`, a file or a folder; raises MissingFileError, or InputError when it is none."""
    if not path.exists():
        raise MissingFileError(f"{path} is not there; expected a LeRobot folder, a robomimic HDF5 file or videos")
    if (path / "dataset.json").is_file():
        raise InputError(f"{path} is a data set of this project already; join it with `pyramid data merge`")
    if (path / "meta" / "info.json").is_file():
        return "lerobot"
    names = [path] if path.is_file() else sorted(path.rglob("*"))
    suffixes = {name.suffix.lower() for name in names}
    if suffixes & HDF5_SUFFIXES or (path.is_file() and h5py.is_hdf5(path)):
        return "robomimic"
    if suffixes & VIDEO_SUFFIXES:
        return "videos"
    inner = next((each.parent.parent for each in sorted(path.glob("*/meta/info.json"))), None)
    hint = f"; {inner} is a LeRobot data set, import its folder" if inner else ""
    raise InputError(
        f"{path} is nothing that can be imported: expected meta/info.json (LeRobot v2), HDF5 files (robomimic) or "
        f"videos ({', '.join(sorted(VIDEO_SUFFIXES))}){hint}"
    )
