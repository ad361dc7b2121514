"""What a path holds, found by looking at it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py

from storage.errors import ConfigError, InputError, MissingFileError
from storage.formats.import_item import FormatName
from storage.formats.lerobot.importer import data_sets_in
from storage.formats.robomimic.hdf5_file import HDF5_SUFFIXES
from storage.formats.untrusted.hdf5_probe import check_hdf5
from storage.formats.video.reader import VIDEO_SUFFIXES


def detect_format(path: Path) -> FormatName:
    """The foreign format of `path`, a file or a folder; raises MissingFileError, or InputError when it is none."""
    if not path.exists():
        raise MissingFileError(f"{path} is not there; expected a LeRobot folder, an HDF5 file, a zarr or videos")
    if (path / "dataset.json").is_file():
        raise InputError(f"{path} is a data set of this project already; join it with `pyramid data merge`")
    if (path / "meta" / "info.json").is_file():
        return "lerobot"
    if (path / "meta").is_dir() and any((path / "meta" / name).exists() for name in ("info.json", "episodes.jsonl")):
        raise MissingFileError(f"{path} is a LeRobot data set without a readable meta/info.json; fetch it again")
    if (path / "meta_data").is_dir() and ((path / "meta_data" / "info.json").is_file() or (path / "data").is_dir()):
        raise ConfigError(
            f"{path} is LeRobot v1, which is not read; bring it to v2.0 with convert_dataset_v1_to_v2.py of lerobot "
            "0.3.3, and import the result"
        )
    if sign := next((name for name, is_it in _SIGNS.items() if is_it(path)), None):
        return sign
    if path.is_dir() and data_sets_in(path):
        return "lerobot"
    return _by_suffix(path)


def _by_suffix(path: Path) -> FormatName:
    names = [path] if path.is_file() else sorted(path.rglob("*"))
    suffixes = {name.suffix.lower() for name in names}
    files = [name for name in names if name.suffix.lower() in HDF5_SUFFIXES]
    files = [name for name in files if name.is_file()]
    if files or (path.is_file() and h5py.is_hdf5(path)):
        # Where none can be opened, robomimic's reader says why.
        return next(filter(None, map(hdf5_format, files or [path])), "robomimic")
    if suffixes & VIDEO_SUFFIXES:
        return "videos"
    raise InputError(
        f"{path} is nothing that can be imported: expected meta/info.json (LeRobot v2 or v3), HDF5 files (robomimic, "
        "Isaac "
        "Lab, LIBERO, ALOHA, ManiSkill), a zarr of Diffusion Policy or UMI, AgiBot-World, DROID, TFRecord with its "
        f"features.json (RLDS), or videos ({', '.join(sorted(VIDEO_SUFFIXES))})"
    )


def hdf5_format(path: Path) -> FormatName | None:
    """Which kind of HDF5 file `path` is, by its outermost groups; None where it cannot be opened."""
    try:
        check_hdf5(path)
        with h5py.File(path, "r") as file:
            # A name that is no UTF-8 comes as bytes.
            names = {str(name) for name in file}
    except (OSError, RuntimeError, ValueError, KeyError):  # a CorruptFileError is a ValueError
        return None
    if "data" in names:
        return "robomimic"
    if "observations" in names and names & {"action", "actions"}:
        return "aloha"
    return "maniskill" if any(name.startswith("traj_") for name in names) else "robomimic"


_SIGNS: Mapping[FormatName, Callable[[Path], bool]] = {
    "agibot": lambda path: (path / "proprio_stats").is_dir() and (path / "observations").is_dir(),
    "replay_zarr": lambda path: bool(replay_zarrs_in(path)),
    "droid": lambda path: bool(droid_episodes_in(path)),
    "rlds": lambda path: bool(rlds_folders_in(path)),
}


def replay_zarrs_in(path: Path) -> list[Path]:
    """The zarr replay buffers at `path` or right below it: groups with meta/episode_ends."""
    if path.is_file():
        return [path] if path.name.endswith(".zarr.zip") else []
    below = [inner for inner in sorted(path.glob("*.zarr")) if inner.is_dir()]
    zipped = sorted(path.glob("*.zarr.zip"))
    return [each for each in (path, *below) if (each / "meta" / "episode_ends").is_dir()] + zipped


def droid_episodes_in(path: Path) -> list[Path]:
    """The folders of raw DROID episodes at or below `path`: trajectory.h5 beside recordings or a metadata_*.json
    (ManiSkill calls its files so too)."""
    if not path.is_dir():
        return []
    folders = (file.parent for file in path.rglob("trajectory.h5"))
    return sorted(each for each in folders if (each / "recordings").is_dir() or any(each.glob("metadata_*.json")))


def rlds_folders_in(path: Path) -> list[Path]:
    """The folders at or below `path` that hold TFRecord files with their features.json."""
    if not path.is_dir():
        return []
    folders = {file.parent for file in path.rglob("features.json")}
    return sorted(folder for folder in folders if any(folder.glob("*.tfrecord*")))
