"""The metadata of a LeRobot v2.0, v2.1 or v3.0 data set, as found and not as promised.

What `meta/info.json` claims is often wrong in data that people share (cameras without files, chunk counts of 0, splits
beyond the end), so only what is needed is taken from it and the rest is looked up in the files themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from storage.errors import ConfigError, CorruptFileError, MissingFileError
from storage.formats.lerobot.v3.index import V3Index, read_v3_index
from storage.formats.untrusted.clean_names import clean_name, distinct
from storage.formats.untrusted.json_lines import numbered_rows
from storage.formats.untrusted.limits import fill_template, inside, read_json_object

_IMAGES = "observation.images."
OUR_META = "meta/pyramid.json"
OUR_EPISODES = "meta/pyramid_episodes.jsonl"


@dataclass(frozen=True, kw_only=True)
class LeRobotMeta:
    """`tasks` maps task_index to its text, `episodes` is episodes.jsonl in order, `modality` modality.json or {};
    `ours` and `our_episodes` (episode_index -> record) are what this project wrote beside them on export, or {}.
    `index` says where the episodes of v3.0 lie in their shared files, None for v2."""

    root: Path
    info: Mapping[str, Any]
    tasks: Mapping[int, str]
    episodes: tuple[Mapping[str, Any], ...]
    modality: Mapping[str, Any]
    ours: Mapping[str, Any]
    our_episodes: Mapping[int, Mapping[str, Any]]
    index: V3Index | None = None
    row_of: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def rate_hz(self) -> float:
        return float(self.info["fps"])

    @property
    def robot_type(self) -> str:
        return str(self.info.get("robot_type") or "")

    @property
    def features(self) -> Mapping[str, Any]:
        features: Mapping[str, Any] = self.info.get("features", {})
        return features

    def data_file(self, number: int) -> str:
        """Path below the root of the file with an episode's rows."""
        return self._path("data_path", number, "")

    def video_file(self, number: int, key: str) -> str:
        """Path below the root of the file with an episode's video under the feature `key`."""
        return self._path("video_path", number, key)

    def _path(self, pattern: str, number: int, key: str) -> str:
        where = f"{self.root}/meta/info.json: {pattern}"
        template = self.info.get(pattern)
        if not isinstance(template, str):
            raise CorruptFileError(f"{where} is missing or malformed ({template!r})")
        if self.index is not None:
            chunk, file = self.index.place(number, key)
            name = fill_template(where, template, chunk_index=chunk, file_index=file, video_key=key)
        else:
            chunk = number // max(1, int(self.info.get("chunks_size", 1000)))
            name = fill_template(where, template, episode_chunk=chunk, episode_index=number, video_key=key)
        inside(self.root, name)
        return name

    def cameras(self) -> dict[str, str]:
        """Camera name -> feature key, for every camera of which at least one episode has a file (or an image column).

        A camera has the name that modality.json gives it, otherwise its key without "observation.images.".
        """
        names = {
            str(entry.get("original_key") or f"{_IMAGES}{name}"): name
            for name, entry in self.modality.get("video", {}).items()
        }
        by_column: dict[str, str] = {}
        for key, feature in self.features.items():
            kind = feature.get("dtype")
            if kind == "image" or (kind == "video" and self._any_file(key)):
                name = clean_name(str(names.get(key, key.removeprefix(_IMAGES))))
                by_column[distinct(name, by_column, key)] = key
        return by_column

    def _any_file(self, key: str) -> bool:
        files = dict.fromkeys(self.video_file(int(row["episode_index"]), key) for row in self.episodes)
        return any((self.root / name).is_file() for name in files)


def read_lerobot_meta(root: Path) -> LeRobotMeta:
    """The metadata under `root`/meta; raises MissingFileError, CorruptFileError, or ConfigError for another version."""
    files = [*(root / "meta").glob("*.json*"), *(root / "meta").glob("**/*.parquet")]
    stamps = tuple(path.stat().st_mtime_ns for path in sorted(files))
    return _read(root, stamps)


# A worker reads one item after another; the stamps of the files keep the cache honest.
@lru_cache(maxsize=8)
def _read(root: Path, stamps: tuple[int, ...]) -> LeRobotMeta:
    if not (root / "meta" / "info.json").is_file():
        raise MissingFileError(f"{root} holds no meta/info.json; expected the root folder of a LeRobot data set")
    info = read_json_object(root / "meta" / "info.json")
    version = str(info.get("codebase_version", ""))
    if not version.startswith(("v2.", "v3.")):
        raise ConfigError(
            f"{root} is LeRobot {version or 'of unknown version'}; this reads v2.0, v2.1 and v3.0. Bring older data "
            "up with "
            "the conversion scripts of lerobot 0.3.3, newer data down with those of its own version"
        )
    _check_info(root, info)
    index = read_v3_index(root, info) if version.startswith("v3.") else None
    modality = root / "meta" / "modality.json"
    ours = root / OUR_META
    our_episodes = root / OUR_EPISODES
    rows = {int(row["episode_index"]): row for row in index.episodes} if index else _v2_episodes(root)
    return LeRobotMeta(
        root=root,
        info=info,
        tasks=index.tasks if index else _v2_tasks(root),
        episodes=tuple(rows[number] for number in sorted(rows)),
        modality=_modality(modality) if modality.is_file() else {},
        ours=read_json_object(ours) if ours.is_file() else {},
        our_episodes=numbered_rows(our_episodes, "episode_index") if our_episodes.is_file() else {},
        index=index,
        row_of=rows,
    )


def _v2_episodes(root: Path) -> dict[int, dict[str, Any]]:
    return numbered_rows(root / "meta" / "episodes.jsonl", "episode_index")


def _v2_tasks(root: Path) -> dict[int, str]:
    rows = numbered_rows(root / "meta" / "tasks.jsonl", "task_index")
    for number, row in rows.items():
        if "task" not in row:
            raise CorruptFileError(f"{root}/meta/tasks.jsonl: task {number} has no text under 'task'")
    return {number: str(row["task"]) for number, row in rows.items()}


def _check_info(root: Path, info: Mapping[str, Any]) -> None:
    where = f"{root}/meta/info.json"
    rate = info.get("fps")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e6:
        raise CorruptFileError(f"{where}: fps must be a positive number; got {rate!r}")
    features = info.get("features", {})
    if not isinstance(features, Mapping) or not all(isinstance(feature, Mapping) for feature in features.values()):
        raise CorruptFileError(f"{where}: features must map a column to an object with dtype and shape")
    for name, feature in features.items():
        shape = feature.get("shape")
        sizes = shape if isinstance(shape, list | tuple) else [shape] if shape is not None else []
        if not all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 31 for size in sizes):
            raise CorruptFileError(f"{where}: the shape of {name!r} must be a list of sizes; got {shape!r}")
    chunks = info.get("chunks_size", 1000)
    if isinstance(chunks, bool) or not isinstance(chunks, int):
        raise CorruptFileError(f"{where}: chunks_size must be an integer; got {chunks!r}")


def _modality(path: Path) -> dict[str, Any]:
    """modality.json, whose entries must be objects, with slices where they are of a vector."""
    record = read_json_object(path)
    for section in ("state", "action", "video", "annotation"):
        entries = record.get(section, {})
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise CorruptFileError(f"{path}: {section} must map a key to an object; got {str(entries)[:80]}")
        for name, entry in entries.items() if section in ("state", "action") else ():
            ends = entry.get("start"), entry.get("end")
            if (
                not all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
                or not 0 <= ends[0] < ends[1]
            ):
                raise CorruptFileError(f"{path}: {section}.{name} needs integers 0 <= start < end; got {ends}")
    return record
