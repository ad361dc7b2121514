"""Reading a shard: everything is mapped into memory, the frame index is parsed once, no zarr library is involved.

A `Shard` may carry sidecars: shards of labels with the same episodes in the same rows. What they hold appears as if it
lay in the shard itself.
"""

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from storage.atomic_files import read_json
from storage.episode import Episode
from storage.errors import CorruptFileError, MissingFileError, SchemaVersionError, UnknownNameError, WorldError
from storage.frames import Frames, frame_codec
from storage.labelling.labels import current_flags
from storage.pictures.source_frame import SourceFrame
from storage.shards.sidecar import Sidecar
from storage.shards.writer import ENDS, RECORDS
from storage.shards.zarr_documents import GROUP_KEY, INDEX_CRC_BYTES, SHARD_VERSION, ArrayMetadata, parse_array


class Shard:
    """One shard, opened for reading. Cheap to make: arrays and cameras are mapped when first asked for.

    Raises MissingFileError where there is no shard, CorruptFileError for what does not read, SchemaVersionError for
    a shard of another version.
    """

    def __init__(self, path: Path, *, sidecars: Sequence[Sidecar] = ()) -> None:
        self.path = path
        about = read_json(path / "zarr.json").get("attributes", {}).get(GROUP_KEY)
        if not isinstance(about, dict) or about.get("shard_version") != SHARD_VERSION:
            version = about.get("shard_version") if isinstance(about, dict) else None
            raise SchemaVersionError(f"{path}: this program reads shards of version {SHARD_VERSION}; got {version}")
        self.about: Mapping[str, Any] = about
        self.sidecars = tuple(Shard(sidecar.path) for sidecar in sidecars)
        self._unlabelled = tuple(sidecar.unlabelled for sidecar in sidecars)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._videos: dict[str, Video] = {}

    @property
    def unit_id(self) -> str:
        return str(self.about["unit_id"])

    @property
    def steps(self) -> int:
        """Rows of every array and frames of every camera."""
        return int(self.about["steps"])

    @property
    def fields(self) -> frozenset[str]:
        """Names of all arrays and cameras ("video/<camera>"), those of sidecars too."""
        own = {*self.about["arrays"], *(f"video/{camera}" for camera in self.about["cameras"])}
        return frozenset(own).union(*(sidecar.fields for sidecar in self.sidecars))

    @cached_property
    def episodes(self) -> tuple[Mapping[str, Any], ...]:
        """The record of each episode, in row order."""
        lines = self._map_array(RECORDS).tobytes().splitlines()
        try:
            return tuple(json.loads(line) for line in lines)
        except ValueError as error:
            raise CorruptFileError(f"{self.path / RECORDS} is not one JSON object a line: {error}") from error

    def array(self, name: str) -> NDArray[Any]:
        """The whole array `name`, (F, ...), mapped and read-only; raises UnknownNameError."""
        try:
            return self._arrays[name]
        except KeyError:
            self._arrays[name] = mapped = self._home_of(name)._map_array(name)
            return mapped

    def video(self, camera: str) -> "Video":
        """All frames of `camera`, mapped; raises UnknownNameError."""
        try:
            return self._videos[camera]
        except KeyError:
            self._videos[camera] = mapped = self._home_of(f"video/{camera}")._map_video(camera)
            return mapped

    def frame(self, camera: str, row: int) -> memoryview:
        """The encoded frame of `camera` at `row`, without a copy."""
        return self.video(camera)[row]

    def episode(self, index: int) -> Episode:
        """Episode number `index` of the shard; arrays and frames stay on the disk until they are looked at."""
        record = dict(self.episodes[index])
        start = record.pop("start")
        stop = start + record["length"]
        record.pop("invalid_steps", None)
        sources = [self, *self.sidecars_of(record["episode_id"])]
        arrays = {
            name: _current(name, shard.array(name)[start:stop]) for shard in sources for name in shard.about["arrays"]
        }
        cameras = {name: shard.video(name).frames(start, stop) for shard in sources for name in shard.about["cameras"]}
        verdicts = tuple(record.pop("verdicts"))
        episode = Episode(**record, arrays=arrays, cameras=cameras, verdicts=verdicts)
        own_instruction = episode.instruction
        for sidecar in sources[1:]:
            episode = sidecar.annotate(episode, index, own_instruction)
        return episode

    def sidecars_of(self, episode_id: str) -> list["Shard"]:
        """The sidecars that say something about an episode."""
        pairs = zip(self.sidecars, self._unlabelled, strict=True)
        return [sidecar for sidecar, unlabelled in pairs if episode_id not in unlabelled]

    def annotate(self, episode: Episode, index: int, own_instruction: str) -> Episode:
        """`episode` with what this sidecar's record adds to its instruction, verdicts and provenance. A sidecar whose
        instruction is the `own_instruction` of the labelled shard says nothing about it."""
        mine = self.episodes[index]
        if mine["episode_id"] != episode.episode_id:
            raise CorruptFileError(
                f"{self.path}: expected a label of episode {episode.episode_id!r} at place {index};"
                f" got {mine['episode_id']!r}"
            )
        fresh = tuple(verdict for verdict in mine["verdicts"] if verdict not in episode.verdicts)
        changes: dict[str, Any] = {
            "verdicts": episode.verdicts + fresh,
            "provenance": {**mine["provenance"], **episode.provenance},
        }
        if mine["instruction"] not in ("", own_instruction, episode.instruction):
            original = episode.original_instruction or episode.instruction
            changes |= {"instruction": mine["instruction"], "original_instruction": original}
        return replace(episode, **changes)

    def check(self) -> None:
        """Read back what a reader will rely on: index, counts, and the first and last frame of every camera.

        Raises CorruptFileError or MissingFileError.
        """
        ends = self._map_array(ENDS)
        lengths = [record["length"] for record in self.episodes]
        starts = [record["start"] for record in self.episodes]
        if ends.tolist() != np.cumsum(lengths).tolist() or starts != [0, *ends[:-1].tolist()]:
            raise CorruptFileError(f"{self.path}: episode_ends and the lengths in {RECORDS} do not agree")
        if not len(ends) or ends[-1] != self.steps:
            raise CorruptFileError(f"{self.path}: expected {self.steps} steps; the episodes end at {ends[-1:]}")
        for name in self.about["arrays"]:
            self._expect_steps(name, len(self.array(name)))
        for camera in self.about["cameras"]:
            video = self.video(camera)
            self._expect_steps(f"video/{camera}", len(video))
            for row in {0, len(video) - 1}:
                if frame_codec(video.codec).is_reference:
                    SourceFrame.from_payload(video[row])
                else:
                    video.frames(row, row + 1).decode()

    def _expect_steps(self, name: str, rows: int) -> None:
        if rows != self.steps:
            raise CorruptFileError(f"{self.path / name}: expected {self.steps} rows; got {rows}")

    def _home_of(self, name: str) -> "Shard":
        for shard in (self, *self.sidecars):
            kind = "cameras" if name.startswith("video/") else "arrays"
            if name.removeprefix("video/") in shard.about[kind]:
                return shard
        raise UnknownNameError.among("array or camera of this shard", name, self.fields)

    def _map_array(self, name: str) -> NDArray[Any]:
        metadata = parse_array(read_json(self.path / name / "zarr.json"), str(self.path / name))
        content = _mapped(self.path / name / metadata.chunk_file)
        if len(content) != metadata.bytes:
            raise CorruptFileError(f"{self.path / name}: expected {metadata.bytes} bytes; got {len(content)}")
        little = metadata.dtype.newbyteorder("<") if metadata.dtype.itemsize > 1 else metadata.dtype
        return np.frombuffer(content, dtype=little).reshape(metadata.shape)

    def _map_video(self, camera: str) -> "Video":
        folder = self.path / "video" / camera
        metadata = parse_array(read_json(folder / "zarr.json"), str(folder))
        return Video(folder / metadata.chunk_file, metadata)


def _current(name: str, stored: NDArray[Any]) -> NDArray[Any]:
    return current_flags(name, stored) if name.startswith("label/flags/") else stored


class Video(Sequence[memoryview]):
    """The encoded frames of one camera of one shard, mapped from its only file."""

    def __init__(self, path: Path, metadata: ArrayMetadata) -> None:
        self.path = path
        self.height_px, self.width_px = metadata.shape[1:3]
        self.codec = metadata.frame_codec
        content = _mapped(path)
        index_bytes = 16 * metadata.shape[0]
        start = len(content) - index_bytes - INDEX_CRC_BYTES
        if start < 0:
            raise CorruptFileError(f"{path} is truncated: {len(content)} bytes cannot hold {metadata.shape[0]} frames")
        self._mapping, self._content = content, memoryview(content)
        pairs = self._content[start : start + index_bytes]
        expected = int.from_bytes(content[-INDEX_CRC_BYTES:], "little")
        if google_crc32c.value(bytes(pairs)) != expected:
            raise CorruptFileError(f"{path}: the frame index fails its checksum; the file is truncated or damaged")
        self._index = np.frombuffer(pairs, dtype="<u8").reshape(-1, 2)
        if len(self._index) and int((self._index[:, 0] + self._index[:, 1]).max()) > start:
            raise CorruptFileError(f"{path}: the frame index points behind the frames")

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, row: int) -> memoryview: ...
    @overload
    def __getitem__(self, row: slice) -> list[memoryview]: ...
    def __getitem__(self, row: int | slice) -> memoryview | list[memoryview]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        offset, size = self._index[row].tolist()
        return self._content[offset : offset + size]

    def release(self, first: int, last: int) -> None:
        """Give the memory of rows `first` to `last` back to the system; the file stays mapped."""
        begin, end = int(self._index[first, 0]), int(self._index[last].sum())
        begin += -begin % mmap.PAGESIZE
        if end - begin >= mmap.PAGESIZE and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED, begin, end - begin)

    def bytes_of(self, rows: range) -> int:
        """Size of the encoded frames of `rows`."""
        return int(self._index[rows.start : rows.stop : rows.step, 1].sum())

    def frames(self, start: int, stop: int) -> Frames:
        """Rows `start` to `stop` as the frames of an episode."""
        payloads = StoredPayloads(self, range(start, stop))
        return Frames(payloads=payloads, height_px=self.height_px, width_px=self.width_px, codec=self.codec)


class StoredPayloads(Sequence[memoryview]):
    """Encoded frames that are read when indexed. Pickled, they become a plain list of bytes."""

    def __init__(self, video: Video, rows: range) -> None:
        self._video, self._rows = video, rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def total_bytes(self) -> int:
        """Size of all of them; no frame is looked at."""
        return self._video.bytes_of(self._rows)

    @overload
    def __getitem__(self, index: int) -> memoryview: ...
    @overload
    def __getitem__(self, index: slice) -> "StoredPayloads": ...
    def __getitem__(self, index: int | slice) -> "memoryview | StoredPayloads":
        if isinstance(index, slice):
            return StoredPayloads(self._video, self._rows[index])
        return self._video[self._rows[index]]

    def release(self, indices: range) -> None:
        """Give the pages of these frames back to the system; whole pages only."""
        if indices:
            self._video.release(self._rows[indices[0]], self._rows[indices[-1]])

    def __reduce__(self) -> tuple[Any, ...]:
        return list, ([bytes(payload) for payload in self],)


def _mapped(path: Path) -> mmap.mmap:
    """The content of `path`, mapped read-only."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; the shard is incomplete") from None
    except ValueError:
        raise CorruptFileError(f"{path} is empty") from None
    except OSError as error:
        raise WorldError(f"cannot map {path}: {error.strerror}; too many open shards? (see `ulimit -n`)") from error
