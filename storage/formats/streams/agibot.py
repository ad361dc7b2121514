"""AgiBot-World as it is published: observations/<task>/<episode>/videos/*.mp4 and depth/*.png,
proprio_stats/<task>/<episode>/proprio_stats.h5, task_info/task_<task>.json. 30 frames a second.

State and action are the positions of joints, effectors, head and waist, in this order, where they are recorded for
every step.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import CorruptFileError, SchemaError
from storage.formats.depth import depth_from_bytes
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.robomimic.hdf5_file import opened
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, Stream, array_stream, video_stream
from storage.formats.untrusted.hdf5_tree import datasets_in
from storage.formats.untrusted.limits import parse_json, read_text, regular
from storage.formats.video.reader import VIDEO_SUFFIXES, probe

_RATE_HZ = 30.0
_PARTS = ("joint/position", "effector/position", "head/position", "waist/position")


def _refs(root: Path, config: ImportConfig) -> list[Ref]:
    refs = []
    for path in sorted((root / "proprio_stats").glob("*/*/proprio_stats.h5")):
        task, episode = path.parent.parent.name, path.parent.name
        folder = root / "observations" / task / episode
        videos = sorted(each for each in (folder / "videos").glob("*") if each.suffix.lower() in VIDEO_SUFFIXES)
        files = (path, *videos)
        names = tuple(str(each.relative_to(root)) for each in files)
        refs.append(
            Ref(name=f"episode {episode} of task {task}", files=names, place={"task": task, "episode": episode})
        )
    return refs


@contextmanager
def _opened(root: Path, ref: Ref, config: ImportConfig) -> Iterator[Recording]:
    task, episode = str(ref.place["task"]), str(ref.place["episode"])
    path = root / "proprio_stats" / task / episode / "proprio_stats.h5"
    about = _task_info(root, task).get(episode, {})
    with opened(path) as file:
        streams = {name: array_stream(name, data) for name, data in datasets_in(str(path), file) if name != "timestamp"}
        times = _times(path, file)
        length = len(times) if times is not None else max((s.length for s in streams.values()), default=0)
        streams |= _cameras(root / "observations" / task / episode, length)
        yield Recording(
            streams=streams,
            length=length,
            rate_hz=_RATE_HZ,
            instruction=str(about.get("task_name") or ""),
            robot_type="agibot",
            state=_vector(streams, "state", length),
            action=_vector(streams, "action", length),
            times=times,
            runs=_runs(about),
            about={"task": task, "episode": episode},
        )


def _vector(streams: Mapping[str, Stream], vector: str, length: int) -> tuple[Piece, ...]:
    names = [f"{vector}/{part}" for part in _PARTS]
    there = [streams[name] for name in names if name in streams and streams[name].kind == "numbers"]
    return tuple(Piece(column=stream.name) for stream in there if stream.length == length)


def _times(path: Path, file: Any) -> Any:
    """Seconds (T,) from stamps in nanoseconds."""
    if "timestamp" not in file or not file["timestamp"].size:
        return None
    stamps = np.asarray(file["timestamp"][:])
    if stamps.ndim != 1 or stamps.dtype.kind not in "iuf":
        raise SchemaError(f"{path}: timestamp must be one number a step; got {stamps.dtype} of shape {stamps.shape}")
    return (stamps.astype(np.float64) - float(stamps[0])) * (1e-9 if stamps.dtype.kind in "iu" else 1.0)


def _cameras(folder: Path, length: int) -> dict[str, Stream]:
    streams: dict[str, Stream] = {}
    for path in sorted((folder / "videos").glob("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            info = probe(path)
            streams[path.stem] = video_stream(path.stem, path, info.frames or length, (info.height_px, info.width_px))
    groups: dict[str, list[Path]] = {}
    for path in sorted((folder / "depth").glob("*.png")):
        groups.setdefault(path.stem.rstrip("0123456789").rstrip("_"), []).append(path)
    for name, paths in groups.items():
        first = _depth(paths[0])
        streams[name] = Stream(
            name=name,
            kind="depth",
            shape=(len(paths), *first.shape),
            dtype="uint16",
            images=lambda count, paths=paths: (_depth(path) for path in paths[:count]),  # type: ignore[misc]
            size_px=(first.shape[0], first.shape[1]),
        )
    return streams


def _depth(path: Path) -> Any:
    return depth_from_bytes(str(path), regular(path, "a depth image").read_bytes())


def _task_info(root: Path, task: str) -> Mapping[str, Mapping[str, Any]]:
    path = root / "task_info" / f"task_{task}.json"
    return _read_task_info(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=8)
def _read_task_info(path: Path, changed_ns: int) -> Mapping[str, Mapping[str, Any]]:
    rows = parse_json(str(path), read_text(path))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CorruptFileError(f"{path}: expected a JSON list of episodes")
    return {str(row.get("episode_id")): row for row in rows}


def _runs(about: Mapping[str, Any]) -> dict[str, list[list[Any]]]:
    """The text of each sub-action from its first frame on: [[step, text], ...], "" between them."""
    steps: dict[int, str] = {0: ""}
    label = about.get("label_info")
    config = label.get("action_config") if isinstance(label, Mapping) else None
    for entry in config if isinstance(config, list) else []:
        if isinstance(entry, Mapping) and isinstance(entry.get("start_frame"), int):
            steps[max(0, entry["start_frame"])] = str(entry.get("action_text") or "")
    if len(steps) == 1 and not steps[0]:
        return {}
    return {"annotation.human.action.sub_task": [[step, steps[step]] for step in sorted(steps)]}


AGIBOT = StreamFormat(name="agibot", refs=_refs, opened=_opened)
