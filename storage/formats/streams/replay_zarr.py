"""Replay buffers of Diffusion Policy and UMI: a zarr of data/<name> (N, ...), all episodes one after another, and
meta/episode_ends (E,), as a folder or zipped.

A buffer does not tell its rate. UMI's buffers hold poses and no action: its policies are trained on the poses to
come, so the pose of a step is its action. A chunk that is missing among others is damage, where zarr itself would
read zeros. An array without any chunk is zeros: zarr 3 does not store what is empty; the table of the import says so.
"""

import itertools
import logging
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
        if 0 < data.ndim <= 2:
            names += [path / chunk for chunk in _chunks(data, first, end)]
    return tuple(sorted(str(each.relative_to(folder)) for each in names if each.is_file()))


def _chunks(data: Any, first: int, end: int) -> list[str]:
    """The keys, below the root, of everything that is stored of steps [first, end) of an array."""
    sizes = data.shards or data.chunks
    rows = range(first // sizes[0], -(-end // sizes[0]))
    others = [range(-(-size // chunk)) for size, chunk in zip(data.shape[1:], sizes[1:], strict=True)]
    count = math.prod(map(len, (rows, *others)))
    if count > LIMITS.objects:
        raise CorruptFileError(f"{data.path} has {count} chunks an episode; at most {LIMITS.objects} are read")
    return [f"{data.path}/{data.metadata.encode_chunk_key(place)}" for place in itertools.product(rows, *others)]


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
        note = _missing(path, data, first, end)
        part = _Part(data, first, end)
        stream = array_stream(name, part, cameras.get(name, frozenset()), flipped=config.flip_images)
        streams[name] = replace(stream, why=note) if note and stream.kind != "other" else stream
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


def _missing(path: Path, data: Any, first: int, end: int) -> str:
    """What to say of an array of which nothing is stored, "" where all of it is; raises CorruptFileError where a chunk
    is missing among others."""
    chunks = _chunks(data, first, end)
    missing = [chunk for chunk in chunks if not _is_there(path, chunk)]
    if not missing:
        return ""
    if len(missing) == len(chunks) and not _anything(path, data.path):
        _say_once(path, data.path, str(data.fill_value))
        return f"no chunk is there: all of it is {data.fill_value}"
    raise CorruptFileError(
        f"{path}: {missing[0]} is not there; zarr would read {data.fill_value} in its place: copy it again, or, where "
        "it was written without its empty chunks, write it with them"
    )


# Of every episode of a buffer the same would be said.
@lru_cache(maxsize=1024)
def _say_once(path: Path, array: str, value: str) -> None:
    _LOG.warning("%s: no chunk of %s is there, so all of it is %s", path, array, value)


def _is_there(path: Path, key: str) -> bool:
    return (path / key).is_file() if path.is_dir() else key in _zipped(path, path.stat().st_mtime_ns)


def _anything(path: Path, array: str) -> bool:
    """Whether any chunk of an array is there."""
    if path.is_dir():
        names = (each.name for each in (path / array).rglob("*") if each.is_file())
    else:
        keys = (key for key in _zipped(path, path.stat().st_mtime_ns) if key.startswith(f"{array}/"))
        names = (key.rpartition("/")[2] for key in keys)
    return any(not name.startswith(".") and name != "zarr.json" for name in names)


@lru_cache(maxsize=2)
def _zipped(path: Path, changed_ns: int) -> frozenset[str]:
    with zipfile.ZipFile(path) as archive:
        return frozenset(name for name in archive.namelist() if not name.endswith("/"))


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
