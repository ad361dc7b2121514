"""The metadata of a LeRobot v2.0 / v2.1 data set, as found and not as promised.

What `meta/info.json` claims is often wrong in data that people share (cameras without files, chunk counts of 0, splits
beyond the end), so only what is needed is taken from it and the rest is looked up in the files themselves.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from storage.atomic_files import read_json
from storage.errors import ConfigError, CorruptFileError, MissingFileError

_IMAGES = "observation.images."
OUR_META = "meta/pyramid.json"
OUR_EPISODES = "meta/pyramid_episodes.jsonl"


@dataclass(frozen=True, kw_only=True)
class LeRobotMeta:
    """`tasks` maps task_index to its text, `episodes` is episodes.jsonl, `modality` modality.json or {}; `ours` and
    `our_episodes` (episode_index -> record) are what this project wrote beside them on export, or {}."""

    root: Path
    info: Mapping[str, Any]
    tasks: Mapping[int, str]
    episodes: tuple[Mapping[str, Any], ...]
    modality: Mapping[str, Any]
    ours: Mapping[str, Any]
    our_episodes: Mapping[int, Mapping[str, Any]]

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
        """Path below the root of an episode's rows."""
        return self._path("data_path", number, "")

    def video_file(self, number: int, key: str) -> str:
        """Path below the root of an episode's video under the feature `key`."""
        return self._path("video_path", number, key)

    def _path(self, pattern: str, number: int, key: str) -> str:
        chunk = number // max(1, int(self.info.get("chunks_size", 1000)))
        try:
            return str(self.info[pattern]).format(episode_chunk=chunk, episode_index=number, video_key=key)
        except (KeyError, IndexError, ValueError) as error:
            raise CorruptFileError(
                f"{self.root}/meta/info.json: {pattern} is missing or malformed ({error})"
            ) from error

    def cameras(self) -> dict[str, str]:
        """Camera name -> feature key, for every camera of which at least one episode has a file (or an image column).

        A camera has the name that modality.json gives it, otherwise its key without "observation.images.".
        """
        names = {
            str(entry.get("original_key") or f"{_IMAGES}{name}"): name
            for name, entry in self.modality.get("video", {}).items()
        }
        found: dict[str, str] = {}
        for key, feature in self.features.items():
            kind = feature.get("dtype")
            if kind == "image" or (kind == "video" and self._any_file(key)):
                found[names.get(key, key.removeprefix(_IMAGES))] = key
        return found

    def _any_file(self, key: str) -> bool:
        return any((self.root / self.video_file(int(row["episode_index"]), key)).is_file() for row in self.episodes)


def read_lerobot_meta(root: Path) -> LeRobotMeta:
    """The metadata under `root`/meta; raises MissingFileError, CorruptFileError, or ConfigError for another version."""
    stamps = tuple(path.stat().st_mtime_ns for path in sorted((root / "meta").glob("*.json*")))
    return _read(root, stamps)


# A worker reads one item after another; the stamps of the files keep the cache honest.
@lru_cache(maxsize=8)
def _read(root: Path, stamps: tuple[int, ...]) -> LeRobotMeta:
    if not (root / "meta" / "info.json").is_file():
        raise MissingFileError(f"{root} holds no meta/info.json; expected the root folder of a LeRobot v2 data set")
    info = read_json(root / "meta" / "info.json")
    version = str(info.get("codebase_version", ""))
    if not version.startswith("v2."):
        raise ConfigError(
            f"{root} is LeRobot {version or 'of unknown version'}; this reads v2.0 and v2.1, the layout of the GR00T "
            "trainers. Convert it with LeRobot's own v3-to-v2.1 script first"
        )
    rate = info.get("fps")
    if not isinstance(rate, int | float) or not rate > 0:
        raise CorruptFileError(f"{root}/meta/info.json: fps must be a positive number; got {rate!r}")
    ours = root / OUR_META
    return LeRobotMeta(
        root=root,
        info=info,
        tasks={int(row["task_index"]): str(row["task"]) for row in _rows(root / "meta" / "tasks.jsonl", "task_index")},
        episodes=tuple(
            sorted(_rows(root / "meta" / "episodes.jsonl", "episode_index"), key=lambda row: int(row["episode_index"]))
        ),
        modality=read_json(root / "meta" / "modality.json") if (root / "meta" / "modality.json").is_file() else {},
        ours=read_json(ours) if ours.is_file() else {},
        our_episodes={int(row["episode_index"]): row for row in _rows(root / OUR_EPISODES, "episode_index")}
        if ours.is_file()
        else {},
    )


def _rows(path: Path, key: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a jsonl file, each of which must have `key`."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; a LeRobot v2 data set has one") from None
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"{path} is not text ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row[key] = int(row[key])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(f"{path}, line {number}: expected a JSON object with {key!r} ({error!r})") from error
        yield row
