"""Importing as a job: items planned on the driver, and the source stage that turns each into an episode.

units = list_items(ImportConfig(path="..."))     # grouped so that each list fits into one shard
outcomes = ImportEpisodes(config)(units[0], randomness)
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from storage.embodiment import SHIPPED, Embodiment
from storage.episode import Episode
from storage.errors import ConfigError, InputError, UnknownNameError
from storage.formats.detect import detect_format
from storage.formats.import_item import FormatName, ImportConfig, ImportItem
from storage.formats.lerobot.importer import lerobot_fates, list_lerobot, read_lerobot
from storage.formats.mapping.column_map import MAP_FILE, read_map_file
from storage.formats.mapping.fates import Fate
from storage.formats.rlds.reader import RLDS
from storage.formats.robomimic.importer import list_robomimic, read_robomimic, robomimic_fates
from storage.formats.streams.agibot import AGIBOT
from storage.formats.streams.aloha import ALOHA
from storage.formats.streams.droid import DROID
from storage.formats.streams.importer import list_streams, read_streams, stream_fates
from storage.formats.streams.maniskill import MANISKILL
from storage.formats.streams.replay_zarr import REPLAY_ZARR
from storage.formats.untrusted.guard import guarded
from storage.formats.video_import import list_videos, read_video_item, video_fates
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

_LOG = logging.getLogger(__name__)
_Listing = Callable[[Path, ImportConfig], list[ImportItem]]
_Reading = Callable[[ImportItem, ImportConfig], Episode]
_Fates = Callable[[Path, ImportConfig], list[Fate]]
FORMATS: Mapping[FormatName, tuple[_Listing, _Reading, _Fates]] = {
    "lerobot": (list_lerobot, read_lerobot, lerobot_fates),
    "robomimic": (list_robomimic, read_robomimic, robomimic_fates),
    "videos": (list_videos, read_video_item, video_fates),
    **{
        reader.name: (partial(list_streams, reader), partial(read_streams, reader), partial(stream_fates, reader))
        for reader in (ALOHA, MANISKILL, REPLAY_ZARR, AGIBOT, DROID, RLDS)
    },
}
"""Every foreign format: how its episodes are listed, how one is read, and what becomes of its columns. A new one is a
row here and in detect.py."""

_LARGE_MEGABYTES = 1000.0
BAD_INPUT = "bad input"
"""The reason of a dropped episode whose files cannot be used (the runner's own word); the detail says why."""


def list_items(config: ImportConfig) -> list[list[dict[str, Any]]]:
    """The JSON items of everything that `config` asks for, in units that are homogeneous and of the wanted size.

    Reads metadata and headers only. Raises InputError and its kinds when nothing can be imported at all.
    """
    config = resolved(config)
    root, name = source_of(config)
    items = guarded(str(root), FORMATS[name][0], root, config)
    if not items:
        raise InputError(f"{root} ({name}) holds no episode that was asked for")
    kinds: dict[str, list[ImportItem]] = {}
    for item in items:
        if not item.details.get("unreadable"):
            kinds.setdefault(item.kind(config), []).append(item)
    # What could not be looked into stands beside good ones, and costs itself alone when it is read.
    next(iter(kinds.values())).extend(item for item in items if item.details.get("unreadable"))
    return [[_slim(item).to_json() for item in unit] for group in kinds.values() for unit in _units(group, config)]


def source_of(config: ImportConfig) -> tuple[Path, FormatName]:
    """The path of an import and its format, found by looking where `config` does not name it."""
    if not config.path:
        raise ConfigError("an import needs a path: a LeRobot folder, an HDF5 file, a zarr, or a folder of videos")
    root = Path(config.path).expanduser().absolute()
    name = detect_format(root) if config.format == "auto" else config.format
    if name not in FORMATS:
        raise UnknownNameError.among("format", name, FORMATS)
    return root, name


def resolved(config: ImportConfig) -> ImportConfig:
    """`config` with the mapping of its file, or of the file beside the data, below its own entries."""
    if not config.path:
        return config
    root = Path(config.path).expanduser().absolute()
    beside = (root if root.is_dir() else root.parent) / MAP_FILE
    path = Path(config.map_file).expanduser() if config.map_file else beside if beside.is_file() else None
    if path is None:
        return config
    return replace(config, map={**read_map_file(path), **config.map}, map_file="")


def fates_of(config: ImportConfig) -> list[Fate]:
    """What becomes of every column and stream of the source, from headers alone."""
    config = resolved(config)
    root, name = source_of(config)
    return guarded(str(root), FORMATS[name][2], root, config)


def _units(items: Sequence[ImportItem], config: ImportConfig) -> Iterator[list[ImportItem]]:
    """`items` in order, in units of at most the wanted number and size; what is larger stands alone."""
    unit: list[ImportItem] = []
    megabytes = 0.0
    for item in items:
        more = item.megabytes(config)
        if more > _LARGE_MEGABYTES:
            _LOG.warning("%s will take about %.0f MB of memory; segment_s or size_px makes it less", item.name, more)
        if unit and (len(unit) == config.episodes_per_unit or megabytes + more > config.megabytes_per_unit):
            yield unit
            unit, megabytes = [], 0.0
        unit.append(item)
        megabytes += more
    if unit:
        yield unit


def _slim(item: ImportItem) -> ImportItem:
    return replace(item, embodiment_record=None) if item.embodiment in SHIPPED else item


def inputs_of(unit: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Path below the source -> content hash of every file that a unit reads, for its plan."""
    return {name: str(mark) for item in unit for name, mark in item["files"].items()}


def provides_of(units: Sequence[Sequence[Mapping[str, Any]]]) -> frozenset[str]:
    """Names of the arrays and cameras that every episode of the units will have, for the check of a plan."""
    items = [item for unit in units for item in unit if not item["details"].get("unreadable")]
    fields = [{*item["arrays"], *(f"video/{name}" for name in item["cameras"])} for item in items]
    return frozenset(set.intersection(*fields)) if fields else frozenset()


def embodiments_of(units: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Embodiment]:
    """Every embodiment that the units' episodes will have, by name: to be declared by the data set."""
    embodiments: dict[str, Embodiment] = {}
    for item in (item for unit in units for item in unit):
        if item["embodiment"] not in embodiments:
            embodiments[item["embodiment"]] = ImportItem.from_json(item).declare()
    return embodiments


def read_item(item: Mapping[str, Any], config: ImportConfig) -> Episode:
    """The episode of one JSON item; raises InputError and its kinds."""
    parsed = ImportItem.from_json(item)
    return guarded(parsed.name, FORMATS[parsed.format][1], parsed, config)


def read_episodes(config: ImportConfig) -> Iterator[Episode]:
    """Every episode that `config` asks for, one at a time, without a job around it. The first bad input raises."""
    config = resolved(config)
    for unit in list_items(config):
        for item in unit:
            yield read_item(item, config)


class ImportEpisodes:
    """The source stage of an import: JSON items in, episodes out. An item whose files are missing, damaged or not as
    planned becomes a dropped episode that says what is wrong; when that is all there is, the error itself is raised."""

    def __init__(self, config: ImportConfig) -> None:
        self._config = resolved(config)

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness, /) -> list[list[Outcome]]:
        outcomes: list[list[Outcome]] = []
        failures: list[InputError] = []
        for item in items:
            try:
                outcomes.append([Kept(read_item(item, self._config))])
            except InputError as error:
                failures.append(error)
                detail = {"error": type(error).__name__, "message": str(error), "name": item["name"]}
                outcomes.append([Dropped(episode_id=str(item["episode_id"]), reason=BAD_INPUT, detail=detail)])
        if failures and len(failures) == len(items):
            raise failures[0]
        for failure in failures:
            _LOG.warning("left out: %s", failure)
        return outcomes
