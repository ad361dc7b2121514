"""Exporting GR00T LeRobot v2.1, complete: what NVIDIA's trainers and LeRobot 0.3 read without further steps.

Beside the standard files, `meta/pyramid.json` and `meta/pyramid_episodes.jsonl` keep what the format has no place for
(ids, layer, verdicts, provenance, which columns were made up), so that importing the result gives the same episodes.
A mixed set of episodes becomes one data set for each embodiment, rate and set of cameras and arrays.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.embodiment import Embodiment, embodiment
from storage.episode import Episode
from storage.errors import ConfigError
from storage.formats.export_report import (
    ExportReport,
    Progress,
    about,
    colour_cameras,
    group_key,
    group_name,
    publish,
    staged,
    told,
)
from storage.formats.import_item import fingerprint
from storage.formats.lerobot.layout import modality_of
from storage.formats.lerobot.meta import OUR_EPISODES, OUR_META
from storage.formats.lerobot.rows import INSTRUCTION, VALIDITY, Layout, Tasks, columns_of, layout_of, write_rows
from storage.formats.lerobot.statistics import episode_statistics, image_statistics, total_statistics
from storage.formats.video.writer import VideoCoding, write_frames
from storage.frames import Frames

_DATA = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_CHUNK_EPISODES = 1000


@dataclass(frozen=True, kw_only=True)
class LeRobotExport:
    """Settings of an export. `cameras` chooses (empty: all). With `predicted_as_action` episodes that have predicted
    actions only get them as `action` too, which the trainers insist on; `meta/pyramid.json` says so."""

    video: VideoCoding = field(default_factory=VideoCoding)
    cameras: tuple[str, ...] = ()
    predicted_as_action: bool = True


def export_lerobot(
    episodes: Iterable[Episode],
    target: Path,
    config: LeRobotExport | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write `episodes` as the folder `target`, one at a time: memory is that of one episode's rows and one frame.

    One kind of episodes: `target` is the data set. Several kinds: `target` holds one data set for each. Nothing is
    there before everything is. Raises AlreadyWrittenError when `target` exists, ConfigError without episodes.
    """
    config = config or LeRobotExport()
    groups: dict[str, _Group] = {}
    left_out: dict[str, int] = {}
    names: set[str] = set()
    done = steps = 0
    with staged(target) as folder:
        for episode in episodes:
            cameras = colour_cameras(episode, config.cameras, left_out)
            layout = layout_of(episode, predicted_as_action=config.predicted_as_action)
            key = group_key(episode, cameras, layout.annotations)
            if key not in groups:
                groups[key] = _Group(folder / group_name(episode, cameras, names), layout, config)
            groups[key].add(episode, cameras)
            done, steps = done + 1, steps + episode.length
            if progress:
                progress(done, steps)
        if not groups:
            raise ConfigError(f"nothing to export to {target}: there are no episodes")
        for group in groups.values():
            group.finish()
        if len(groups) == 1:
            paths = [publish(next(iter(groups.values())).folder, target)]
        else:
            publish(folder, target)
            paths = [target / group.folder.name for group in groups.values()]
    return told(ExportReport(paths=tuple(paths), episodes=done, steps=steps, left_out=left_out))


class _Group:
    """One LeRobot data set in the making."""

    def __init__(self, folder: Path, layout: Layout, config: LeRobotExport) -> None:
        self.folder = folder
        self._layout = layout
        self._config = config
        self._tasks = Tasks()
        self._files: list[Path] = []
        self._steps = 0
        self._first: tuple[Episode, Mapping[str, Frames]] | None = None
        self._columns: dict[str, tuple[str, int]] = {}
        (folder / "meta").mkdir(parents=True)

    def add(self, episode: Episode, cameras: Mapping[str, Frames]) -> None:
        """Write one more episode: rows, videos and the lines about it."""
        number = len(self._files)
        columns = columns_of(episode, self._layout, self._tasks, (number, self._steps))
        rows = self._path(_DATA, number)
        write_rows(columns, rows)
        self._columns = {name: (str(values.dtype), values.size // len(values)) for name, values in columns.items()}
        statistics = episode_statistics(columns)
        for name, frames in cameras.items():
            key = f"observation.images.{name}"
            video = self._path(_VIDEO, number, key)
            write_frames(frames, video, rate_hz=episode.rate_hz, coding=self._config.video)
            statistics[key] = image_statistics(frames)
        texts = self._tasks.texts(columns[INSTRUCTION])
        texts += self._tasks.texts(columns[VALIDITY]) if VALIDITY in columns else []
        self._line("meta/episodes.jsonl", {"episode_index": number, "tasks": texts, "length": episode.length})
        self._line("meta/episodes_stats.jsonl", {"episode_index": number, "stats": statistics})
        mark = fingerprint(rows)
        self._line(OUR_EPISODES, {"episode_index": number, "data_fingerprint": mark, **about(episode)})
        self._files.append(rows)
        self._steps += episode.length
        self._first = self._first or (episode, cameras)

    def finish(self) -> None:
        """Write what is known only at the end: info, tasks, modality, statistics and our own notes."""
        assert self._first is not None
        episode, cameras = self._first
        body = embodiment(episode.embodiment)
        for text, index in self._tasks.index_of.items():
            self._line("meta/tasks.jsonl", {"task_index": index, "task": text})
        widths = {name: width for name, (_, width) in self._columns.items()}
        self._json("meta/info.json", self._info(episode, body, cameras))
        self._json("meta/modality.json", self._modality(body, cameras))
        self._json("meta/stats.json", total_statistics(self._files, widths, self._steps))
        self._json(
            OUR_META,
            {
                "version": 1,
                "embodiments": {body.name: body.to_json()},
                "arrays": sorted(episode.arrays),
                "columns": {name: dict(note) for name, note in self._layout.noted.items()},
                "filled": list(self._layout.filled),
                "filled_columns": list(self._layout.filled_columns),
            },
        )

    def _path(self, pattern: str, number: int, key: str = "") -> Path:
        chunk = number // _CHUNK_EPISODES
        path = self.folder / pattern.format(episode_chunk=chunk, episode_index=number, video_key=key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _line(self, name: str, record: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def _json(self, name: str, record: Mapping[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(record, indent=4, ensure_ascii=False) + "\n")

    def _info(self, episode: Episode, body: Embodiment, cameras: Mapping[str, Frames]) -> dict[str, Any]:
        count = len(self._files)
        rate = episode.rate_hz
        return {
            "codebase_version": "v2.1",
            "robot_type": body.name,
            "total_episodes": count,
            "total_frames": self._steps,
            "total_tasks": len(self._tasks.index_of),
            "total_videos": count * len(cameras),
            "total_chunks": -(-count // _CHUNK_EPISODES),
            "chunks_size": _CHUNK_EPISODES,
            "fps": int(rate) if rate == int(rate) else rate,
            "splits": {"train": f"0:{count}"},
            "data_path": _DATA,
            "video_path": _VIDEO if cameras else None,
            "features": self._features(body, cameras, rate),
        }

    def _features(self, body: Embodiment, cameras: Mapping[str, Frames], rate: float) -> dict[str, Any]:
        features: dict[str, Any] = {}
        for name, frames in cameras.items():
            video = {
                "video.height": frames.height_px,
                "video.width": frames.width_px,
                "video.channels": 3,
                "video.codec": self._config.video.codec,
                "video.pix_fmt": "yuv420p" if frames.height_px % 2 == frames.width_px % 2 == 0 else "yuv444p",
                "video.is_depth_map": False,
                "video.fps": rate,
                "has_audio": False,
            }
            # LeRobot reads "info", the GR00T N1 trainers read "video_info" and want the name "channel".
            features[f"observation.images.{name}"] = {
                "dtype": "video",
                "shape": [frames.height_px, frames.width_px, 3],
                "names": ["height", "width", "channel"],
                "info": video,
                "video_info": video,
            }
        names = {"observation.state": _numbers(body, "state"), "action": _numbers(body, "action")}
        names["dream_actions"] = names["action"]
        for name, (dtype, width) in self._columns.items():
            named = names.get(name)
            features[name] = {
                "dtype": dtype,
                "shape": [width],
                "names": named if named and len(named) == width else None,
            }
        return features

    def _modality(self, body: Embodiment, cameras: Mapping[str, Frames]) -> dict[str, Any]:
        vectors = {
            vector: column
            for vector, column in (("state", "observation.state"), ("action", "action"))
            if column in self._columns
        }
        spoken = [name for name in self._columns if name.startswith("annotation.")]
        record = modality_of(body, list(cameras), vectors)
        record["annotation"] = {name.removeprefix("annotation."): {} for name in spoken}
        return record


def _numbers(body: Embodiment, vector: str) -> list[str]:
    """A name for every number of a vector: left_arm_0, left_arm_1, ..."""
    return [
        part.name if part.size == 1 else f"{part.name}_{place}"
        for part in getattr(body, vector).parts
        for place in range(part.size)
    ]
