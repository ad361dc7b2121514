"""Exporting LeRobot: v2.1 as GR00T's trainers and LeRobot 0.3 read it, v3.0 as LeRobot 0.4 and later do, complete.

Beside the standard files, `meta/pyramid.json` and `meta/pyramid_episodes.jsonl` keep what the format has no place for
(ids, layer, verdicts, provenance, which columns were made up), so that importing the result gives the same episodes.
A mixed set of episodes becomes one data set for each embodiment, rate and set of cameras and arrays.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from storage.episode import Episode
from storage.errors import UnknownNameError
from storage.formats.export_groups import Kind, write_groups
from storage.formats.export_report import ExportReport, Progress, about, colour_cameras, group_key
from storage.formats.import_item import fingerprint
from storage.formats.lerobot.describe import Description, camera_key
from storage.formats.lerobot.meta import OUR_EPISODES, OUR_META
from storage.formats.lerobot.rows import ColumnLayout, Tasks, columns_of, layout_of, write_rows
from storage.formats.lerobot.statistics import episode_statistics, image_statistics, total_statistics
from storage.formats.lerobot.v3.language import LANGUAGE_FEATURES, language_arrays, language_of
from storage.formats.lerobot.v3.subtasks import SPANS, SUBTASK_COLUMN, subtask_spans, subtask_texts
from storage.formats.lerobot.v3.writer import V3Files
from storage.formats.lerobot.words import source_words
from storage.formats.video.writer import VideoCoding, write_frames
from storage.frames import Frames

_DATA = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_CHUNK_EPISODES = 1000
_ROLES = "roles, cameras and tool calls of the language columns"
Version = Literal["v2.1", "v3.0"]
Shown = Callable[[Episode], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, kw_only=True)
class LeRobotExport:
    """Settings of an export. `cameras` chooses (empty: all). With `predicted_as_action` episodes that have predicted
    actions only get them as `action` too, which the trainers insist on; `meta/pyramid.json` says so. v3.0 also holds
    depth, as 16-bit PNG, and the language columns; v2.1 has their texts as annotations."""

    version: Version = "v2.1"
    video: VideoCoding = field(default_factory=VideoCoding)
    cameras: tuple[str, ...] = ()
    predicted_as_action: bool = True

    def __post_init__(self) -> None:
        if self.version not in get_args(Version):
            raise UnknownNameError.among("version of LeRobot", self.version, get_args(Version))


def export_lerobot(
    episodes: Iterable[Episode],
    target: Path,
    config: LeRobotExport | None = None,
    progress: Progress | None = None,
    *,
    complete: Callable[[Path], None] | None = None,
    shown: Shown | None = None,
) -> ExportReport:
    """Write `episodes` as the folder `target`, one at a time: memory is that of one episode's rows and one frame.

    One kind of episodes: `target` is the data set. Several kinds: `target` holds one data set for each. Nothing is
    there before everything is; `complete` may add to the folder of each data set before. `shown` gives arrays in the
    form that a trainer wants them in: they are what it sees, and the episode's own are kept beside them. Raises
    AlreadyWrittenError when `target` exists, ConfigError without episodes, WorldError when the disk is full.
    """
    config = config or LeRobotExport()
    left_out: dict[str, int] = {}
    shared = config.version == "v3.0"

    def kind_of(episode: Episode) -> Kind:
        cameras = colour_cameras(episode, config.cameras, left_out, depth=shared)
        turned = tuple(shown(episode)) if shown else ()
        predicted = config.predicted_as_action
        layout = layout_of(episode, predicted_as_action=predicted, language=shared, shown=turned)
        if language_of(episode) and not shared:
            left_out[_ROLES] = left_out.get(_ROLES, 0) + 1
        texts = [layout.annotations, layout.language, layout.subtasks]
        return Kind(
            key=group_key(episode, cameras, [*texts, source_words(episode)]),
            cameras=cameras,
            begin=partial(_V3Group if shared else _Group, layout=layout, config=config, shown=shown),
        )

    return write_groups(episodes, target, kind_of, left_out=left_out, progress=progress, complete=complete)


def episode_extras(episode: Episode) -> dict[str, Any]:
    """What the source's table of episodes said beside what LeRobot needs, and the subtasks as GR00T reads them."""
    extras = dict(episode.provenance.get("imported", {}).get("episode", {}))
    spans = subtask_spans(episode)
    return {**extras, SPANS: spans} if spans else extras


class _Group:
    """One LeRobot v2.1 data set in the making."""

    def __init__(self, path: Path, layout: ColumnLayout, config: LeRobotExport, shown: Shown | None = None) -> None:
        self.path = path
        self._layout = layout
        self._config = config
        self._shown = shown
        self._tasks = Tasks()
        self._files: list[Path] = []
        self._count = self._steps = 0
        self._first: tuple[Episode, Mapping[str, Frames]] | None = None
        self._columns: dict[str, tuple[str, int]] = {}
        (path / "meta").mkdir(parents=True)

    def add(self, episode: Episode, cameras: Mapping[str, Frames]) -> None:
        """Write one more episode: rows, videos and the lines about it."""
        shown = self._shown(episode) if self._shown else {}
        columns = columns_of(episode, self._layout, self._tasks, (self._count, self._steps), shown)
        self._columns = {name: (str(values.dtype), values.size // len(values)) for name, values in columns.items()}
        texts = self._tasks.texts(columns["task_index"])
        if self._layout.instruction in columns:
            texts += self._tasks.texts(columns[self._layout.instruction])
        self._first = self._first or (episode, cameras)
        self._write(episode, cameras, columns, list(dict.fromkeys(texts)))
        self._count += 1
        self._steps += episode.length

    def _write(
        self, episode: Episode, cameras: Mapping[str, Frames], columns: Mapping[str, NDArray[Any]], texts: list[str]
    ) -> None:
        number = self._count
        rows = self._path(_DATA, number)
        write_rows(columns, rows)
        statistics = episode_statistics(columns)
        for name, frames in cameras.items():
            key = camera_key(episode, name)
            video = self._path(_VIDEO, number, key)
            write_frames(frames, video, rate_hz=episode.rate_hz, coding=self._config.video)
            statistics[key] = image_statistics(frames)
        row = {"episode_index": number, "tasks": texts, "length": episode.length, **episode_extras(episode)}
        self._line("meta/episodes.jsonl", row)
        self._line("meta/episodes_stats.jsonl", {"episode_index": number, "stats": statistics})
        mark = fingerprint(rows)
        self._line(OUR_EPISODES, {"episode_index": number, "data_fingerprint": mark, **about(episode)})
        self._files.append(rows)

    def finish(self) -> None:
        """Write what is known only at the end: info, tasks, modality, statistics and our own notes."""
        for text, index in self._tasks.index_of.items():
            self._line("meta/tasks.jsonl", {"task_index": index, "task": text})
        self._json("meta/info.json", self._info(self._description))
        widths = {name: width for name, (_, width) in self._columns.items()}
        self._json("meta/stats.json", total_statistics(self._files, widths, self._steps))
        self._write_ours()

    def abandon(self) -> None:
        """Let go of open files after an error."""

    def _write_ours(self) -> None:
        """modality.json, and what the format has no place for."""
        episode, embodiment = self._description.first, self._description.embodiment
        self._json("meta/modality.json", self._description.modality())
        self._json(
            OUR_META,
            {
                "version": 1,
                "embodiments": {embodiment.name: embodiment.to_json()},
                "arrays": sorted(episode.arrays),
                "columns": {name: dict(note) for name, note in self._layout.noted.items()},
                "filled": list(self._layout.filled),
                "filled_columns": list(self._layout.filled_columns),
            },
        )

    @property
    def _description(self) -> Description:
        assert self._first is not None
        return Description(first=self._first[0], cameras=self._first[1], columns=self._columns)

    def _path(self, pattern: str, number: int, key: str = "") -> Path:
        chunk = number // _CHUNK_EPISODES
        path = self.path / pattern.format(episode_chunk=chunk, episode_index=number, video_key=key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _line(self, name: str, record: Mapping[str, Any]) -> None:
        with (self.path / name).open("a", newline="\n") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def _json(self, name: str, record: Mapping[str, Any]) -> None:
        (self.path / name).write_text(json.dumps(record, indent=4, ensure_ascii=False) + "\n")

    def _info(self, said: Description) -> dict[str, Any]:
        return {
            "codebase_version": "v2.1",
            "robot_type": said.robot_type,
            "total_episodes": self._count,
            "total_frames": self._steps,
            "total_tasks": len(self._tasks.index_of),
            "total_videos": self._count * len(said.cameras),
            "total_chunks": -(-self._count // _CHUNK_EPISODES),
            "chunks_size": _CHUNK_EPISODES,
            "fps": _plain(said.first.rate_hz),
            "splits": {"train": f"0:{self._count}"},
            "data_path": _DATA,
            "video_path": _VIDEO if said.cameras else None,
            "features": said.features(self._config.video),
        }


class _V3Group(_Group):
    """One LeRobot v3.0 data set in the making: many episodes in one parquet file and one mp4."""

    def __init__(self, path: Path, layout: ColumnLayout, config: LeRobotExport, shown: Shown | None = None) -> None:
        super().__init__(path, layout, config, shown)
        self._shared = V3Files(path, config.video)
        self._notes: list[dict[str, Any]] = []
        self._subtasks = Tasks()

    def _write(
        self, episode: Episode, cameras: Mapping[str, Frames], columns: Mapping[str, NDArray[Any]], texts: list[str]
    ) -> None:
        keyed = {camera_key(episode, name): frames for name, frames in cameras.items()}
        columns = dict(columns)
        if self._layout.subtasks:
            columns[SUBTASK_COLUMN] = self._subtasks.indices(subtask_texts(subtask_spans(episode), episode.length))
            self._columns[SUBTASK_COLUMN] = ("int64", 1)
        said = language_arrays(language_of(episode), episode.length) if self._layout.language else {}
        self._shared.add(columns, keyed, rate_hz=episode.rate_hz, texts=texts, said=said, row=episode_extras(episode))
        self._notes.append({"episode_index": self._count, **about(episode)})

    def abandon(self) -> None:
        self._shared.abandon()

    def finish(self) -> None:
        """Close the shared files and write what is known only at the end."""
        said = self._description
        files = self._shared.close(list(self._tasks.index_of), list(self._subtasks.index_of))
        marks = {path: fingerprint(path) for path in dict.fromkeys(files)}
        for note, path in zip(self._notes, files, strict=True):
            self._line(OUR_EPISODES, {"data_fingerprint": marks[path], **note})
        info = {
            "codebase_version": "v3.0",
            "robot_type": said.robot_type,
            "total_episodes": self._count,
            "total_frames": self._steps,
            "total_tasks": len(self._tasks.index_of),
            **self._shared.info(),
            "fps": _plain(said.first.rate_hz),
            "splits": {"train": f"0:{self._count}"},
            "features": {**said.features(self._config.video), **(LANGUAGE_FEATURES if self._layout.language else {})},
        }
        tools = source_words(said.first).get("tools")
        self._json("meta/info.json", info | ({"tools": tools} if tools else {}))
        self._json("meta/stats.json", self._shared.statistics())
        self._write_ours()


def _plain(rate_hz: float) -> float:
    return int(rate_hz) if rate_hz == int(rate_hz) else rate_hz
