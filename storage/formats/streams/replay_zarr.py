"""Replay buffers of Diffusion Policy and UMI: a zarr of data/<name> (N, ...), all episodes one after another, and
meta/episode_ends (E,), as a folder or zipped.

A buffer does not tell its rate. UMI's buffers hold poses and no action: its policies are trained on the poses to
come, so the pose of a step is its action. A chunk that is missing among others is damage: zarr would read zeros in
its place.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.storage

from storage.errors import CorruptFileError, SchemaError
from storage.formats.detect import replay_zarrs_in
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, Stream, array_stream
from storage.formats.untrusted.limits import LIMITS

_LOG = logging.getLogger(__name__)
_POSE = ("eef_pos", "eef_rot_axis_angle", "gripper_width")


def _refs(root: Path, config: ImportConfig) -> list[Ref]:
    folder = root if root.is_dir() else root.parent
    refs = []
    for path in replay_zarrs_in(root):
        relative = str(path.relative_to(folder)) if path != folder else "."
        group = _group(path, _changed(path))
        ends = _ends(path, group)
        starts = [0, *ends[:-1]]
        for number, (first, end) in enumerate(zip(starts, ends, strict=True)):
            files = _files(path, folder, group, first, end)
            place = {"file": relative, "first": first, "end": end}
            refs.append(Ref(name=f"episode {number} of {path.name}", files=files, place=place))
    return refs


def _changed(path: Path) -> int:
    return (path / "meta" / "episode_ends" if path.is_dir() else path).stat().st_mtime_ns


@lru_cache(maxsize=4)
def _group(path: Path, changed_ns: int) -> Any:
    try:
        store = (
            zarr.storage.ZipStore(path, mode="r") if path.is_file() else zarr.storage.LocalStore(path, read_only=True)
        )
        return zarr.open_group(store, mode="r")
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise CorruptFileError(f"{path} does not open as a zarr ({error})") from error


def _ends(path: Path, group: Any) -> list[int]:
    ends = np.asarray(group["meta/episode_ends"][:])
    if ends.ndim != 1 or ends.dtype.kind not in "iu" or not len(ends) or (np.diff(ends, prepend=0) <= 0).any():
        raise SchemaError(
            f"{path}: meta/episode_ends must rise from one episode to the next; got {ends[:8].tolist()} ..."
        )
    steps = max((int(group[f"data/{name}"].shape[0]) for name in group["data"].array_keys()), default=0)
    if int(ends[-1]) > steps or len(ends) > LIMITS.objects:
        raise CorruptFileError(
            f"{path}: meta/episode_ends has {len(ends)} episodes up to step {int(ends[-1])}; the data have {steps} "
            "steps"
        )
    return [int(end) for end in ends]


def _files(path: Path, folder: Path, group: Any, first: int, end: int) -> tuple[str, ...]:
    """What an episode follows from: the table of episodes, and the chunks of its actions and poses (not of its images,
    which are too many to name)."""
    if path.is_file():
        return (str(path.relative_to(folder)),)
    names = [*(path / "meta" / "episode_ends").glob("*")]
    for name in group["data"].array_keys():
        data = group[f"data/{name}"]
        if data.ndim <= 2:
            names += [chunk for chunk in _chunks(path, name, data, first, end) if chunk.is_file()]
    return tuple(sorted(str(each.relative_to(folder)) for each in names if each.is_file()))


def _chunks(path: Path, name: str, data: Any, first: int, end: int) -> list[Path]:
    """The files of the chunks that hold steps [first, end) of a zarr v2 array; [] for other layouts."""
    folder = path / "data" / name
    if not (folder / ".zarray").is_file():
        return []
    rows = data.chunks[0]
    others = [range(-(-size // chunk)) for size, chunk in zip(data.shape[1:], data.chunks[1:], strict=True)]
    tails = [""]
    for axis in others:
        tails = [f"{tail}{{s}}{place}" for tail in tails for place in axis]
    nested = any(each.is_dir() for each in folder.iterdir())
    separator = "/" if nested else "."
    return [
        folder / f"{row}{tail}".replace("{s}", separator)
        for row in range(first // rows, -(-end // rows))
        for tail in tails
    ]


@contextmanager
def _opened(root: Path, ref: Ref, config: ImportConfig) -> Iterator[Recording]:
    path = root / str(ref.place["file"])
    group = _group(path, _changed(path))
    first, end = int(ref.place["first"]), int(ref.place["end"])
    cameras = {camera.column: camera.options for camera in (config.columns.cameras or {}).values()}
    streams: dict[str, Stream] = {}
    for name in sorted(group["data"].array_keys()):
        try:
            data = group[f"data/{name}"]
        except (ValueError, KeyError, TypeError) as error:
            streams[name] = Stream(name=name, kind="other", shape=(), dtype="", why=f"cannot be read here: {error}")
            continue
        if data.shape[0] < end:
            raise SchemaError(f"{path}: data/{name} has {data.shape[0]} steps; the episode is steps {first} to {end}")
        _check_chunks(path, name, data, first, end)
        part = _Part(data, first, end)
        streams[name] = array_stream(name, part, cameras.get(name, frozenset()), flipped=config.flip_images)
    pose = _pose(streams)
    known = any(name in streams for name in ("action", "actions"))
    yield Recording(
        streams=streams,
        length=end - first,
        robot_type="umi" if pose else "replay_buffer",
        state=pose,
        action=() if known else pose,
        about={"steps": [first, end]},
    )


def _pose(streams: dict[str, Stream]) -> tuple[Piece, ...]:
    robots = sorted({name.split("_")[0] for name in streams if name.endswith("_eef_pos")})
    names = [f"{robot}_{part}" for robot in robots for part in _POSE]
    return tuple(Piece(column=name) for name in names if name in streams and streams[name].kind == "numbers")


def _check_chunks(path: Path, name: str, data: Any, first: int, end: int) -> None:
    chunks = _chunks(path, name, data, first, end) if path.is_dir() else []
    missing = [chunk for chunk in chunks if not chunk.is_file()]
    if not missing:
        return
    there = any(each.is_file() and not each.name.startswith(".") for each in (path / "data" / name).rglob("*"))
    if there:
        raise CorruptFileError(
            f"{missing[0]} is not there; zarr would read {data.fill_value} in its place: copy it again"
        )
    _LOG.warning("%s: data/%s has no chunk at all; every value of it is %s", path, name, data.fill_value)


class _Part:
    """Steps [first, end) of a zarr array, which is read where it is asked for."""

    def __init__(self, data: Any, first: int, end: int) -> None:
        self._data, self._first = data, first
        self.shape = (end - first, *data.shape[1:])
        self.dtype = data.dtype
        self.ndim = data.ndim

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, _ = key.indices(len(self))
            return self._data[self._first + start : self._first + stop]
        return self._data[self._first + key]


REPLAY_ZARR = StreamFormat(name="replay_zarr", refs=_refs, opened=_opened)
