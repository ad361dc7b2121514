"""Writing a shard: episodes stream into plain zarr v3 files, with the memory of one frame.

Content is appended as it comes; what depends on the number of steps (the frame index, every `zarr.json`) is written at
the end, the group's `zarr.json` last. Equal episodes in equal order give equal bytes.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from storage import statistics
from storage.atomic_files import json_bytes, sync_folder
from storage.episode import Episode
from storage.errors import AlreadyWrittenError, SchemaError
from storage.fields import field_of
from storage.frames import frame_codec
from storage.ids import canonical_json
from storage.shards.layout import ShardLayout, check_payload
from storage.shards.record import FileRecord, ShardRecord
from storage.shards.streams import AppendFile, ArrayStream, Mark, VideoStream, disk_errors
from storage.shards.zarr_documents import GROUP_KEY, SHARD_VERSION, array_document, group_document

ENDS = "episode_ends"
RECORDS = "episode_records"


_OWN_UNITS = {ENDS: "first step behind each episode", RECORDS: "UTF-8, one JSON object a line for each episode"}


class ShardWriter:
    """Writes one new shard at `path`. `add` episodes, then `close`; as a context manager it aborts on an error.

    The first episode fixes the layout: embodiment, rate, cameras with size and codec, arrays with width. Raises
    SchemaError for an episode that differs (it leaves no trace and the writer goes on), AlreadyWrittenError when there
    is something at `path`, WorldError when the disk is full or read-only.
    """

    def __init__(self, path: Path, *, unit_id: str) -> None:
        self._path, self._unit_id = path, unit_id
        self._layout: ShardLayout | None = None
        self._streams: dict[str, ArrayStream | VideoStream] = {}
        self._episodes: list[Mapping[str, Any]] = []
        with disk_errors(path):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                raise AlreadyWrittenError(f"a shard is written to a new folder; {path} is there already") from None
            self._records = ArrayStream(path / RECORDS, row_shape=(), dtype=np.dtype(np.uint8))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.abort()

    @property
    def steps(self) -> int:
        """Steps of the episodes that were added."""
        return sum(episode["length"] for episode in self._episodes)

    def add(self, episode: Episode) -> None:
        """Append `episode`; its frames are taken one at a time."""
        layout = ShardLayout.of(episode)
        marks = self.begin(layout)
        try:
            for camera, frames in episode.cameras.items():
                for payload in frames.payloads:
                    self.write_frame(camera, payload)
            for name, rows in episode.arrays.items():
                self.write_rows(name, rows)
            self.finish(episode)
        except BaseException:
            self.rewind(marks)
            raise

    def begin(self, layout: ShardLayout) -> dict[str, Mark]:
        """Make ready for an episode of `layout`; returns where to wind back to should it fail."""
        if self._layout is None:
            self._layout = layout
            with disk_errors(self._path):
                self._open_streams(layout)
        elif layout != self._layout:
            raise SchemaError(f"a shard holds episodes of one layout; {self._layout.difference(layout)}")
        return {name: stream.mark() for name, stream in self._streams.items()}

    def write_frame(self, camera: str, payload: bytes | memoryview) -> None:
        """Append one encoded frame of an episode that has begun."""
        assert self._layout is not None
        check_payload(camera, payload, self._layout.cameras[camera])
        stream = self._streams[f"video/{camera}"]
        assert isinstance(stream, VideoStream)
        with disk_errors(self._path):
            stream.append(payload)

    def write_rows(self, name: str, rows: NDArray[Any]) -> None:
        """Append rows (n, ...) of one array of an episode that has begun."""
        stream = self._streams[name]
        assert isinstance(stream, ArrayStream)
        with disk_errors(self._path):
            stream.append(rows)

    def stored(self, name: str, start: int) -> NDArray[Any]:
        """The rows of array `name` from `start` on, mapped."""
        stream = self._streams[name]
        assert isinstance(stream, ArrayStream)
        with disk_errors(self._path):
            return stream.stored(start)

    def finish(self, episode: Episode) -> None:
        """The episode that has begun is whole: take it into the records."""
        start = self.steps
        record = _episode_record(episode, start=start)
        rows = {name: stream.rows for name, stream in self._streams.items()}
        if wrong := {name: count for name, count in rows.items() if count != start + episode.length}:
            raise SchemaError(f"episode {episode.episode_id!r}: expected {start + episode.length} rows; got {wrong}")
        with disk_errors(self._path):
            self._records.append(np.frombuffer(canonical_json(record).encode() + b"\n", dtype=np.uint8))
        self._episodes.append(record)

    def rewind(self, marks: Mapping[str, Mark]) -> None:
        """Forget an episode that has begun."""
        with disk_errors(self._path):
            for name, mark in marks.items():
                self._streams[name].rewind(mark)
        if not self._episodes:
            self._close_streams()

    def close(self) -> ShardRecord:
        """Write what is still missing, bring everything to the disk and say what was written."""
        if not self._episodes or self._layout is None:
            raise SchemaError("a shard needs at least one episode; abort a writer that got none")
        with disk_errors(self._path):
            summaries = self._statistics()
            ends = ArrayStream(self._path / ENDS, row_shape=(), dtype=np.dtype(np.int64))
            ends.append(np.cumsum([episode["length"] for episode in self._episodes], dtype=np.int64))
            self._streams |= {ENDS: ends, RECORDS: self._records}
            files = []
            for stream in self._streams.values():
                stream.close()
                files.append(stream.record(self._path))
            files += self._write_documents(self._layout)
            for folder in {path.parent for path in self._path.rglob("*")} | {self._path.parent}:
                sync_folder(folder)
        return ShardRecord(
            episodes=tuple(self._episodes),
            files=tuple(sorted(files, key=lambda file: file.path)),
            statistics=summaries,
            steps=self.steps,
            bytes=sum(file.bytes for file in files),
            layout=self._layout.to_json(),
        )

    def abort(self) -> None:
        """Remove everything that was written. Never raises, also when the disk is full or gone."""
        self._records.discard()
        for stream in self._streams.values():
            stream.discard()
        shutil.rmtree(self._path, ignore_errors=True)

    def _open_streams(self, layout: ShardLayout) -> None:
        for name, (row_shape, dtype) in layout.arrays.items():
            self._streams[name] = ArrayStream(self._path / name, row_shape=row_shape, dtype=np.dtype(dtype))
        for camera, (height_px, width_px, codec) in layout.cameras.items():
            self._streams[f"video/{camera}"] = VideoStream(
                self._path / "video" / camera,
                frame_shape=frame_codec(codec).shape(height_px, width_px),
                dtype=np.dtype(frame_codec(codec).dtype),
                frame_codec=codec,
            )

    def _close_streams(self) -> None:
        """The first episode failed: the next one may have another layout."""
        for name, stream in self._streams.items():
            stream.discard()
            shutil.rmtree(self._path / name.split("/")[0], ignore_errors=True)
        self._streams, self._layout = {}, None

    def _statistics(self) -> dict[str, Any]:
        """Per embodiment and field, over the steps that are valid."""
        assert self._layout is not None
        by_field: dict[str, Any] = {}
        for name in filter(statistics.is_summarised, self._layout.arrays):
            summary = statistics.summarise(self.stored(name, 0), self._valid(name))
            if summary is not None:
                by_field[name] = summary.to_json()
        return {self._layout.embodiment: by_field}

    def _valid(self, name: str) -> NDArray[np.bool_] | None:
        kind = name.rsplit("/", maxsplit=1)[-1]
        masks = [mask for mask in ("valid", f"label/valid/{kind}") if mask in self._streams]
        return np.logical_and.reduce([self.stored(mask, 0) for mask in masks]) if masks else None

    def _write_documents(self, layout: ShardLayout) -> list[FileRecord]:
        """Every `zarr.json`, those of groups behind those of arrays, the one of the shard last."""
        documents: dict[str, dict[str, Any]] = {}
        for name, stream in self._streams.items():
            unit = _OWN_UNITS[name] if name in _OWN_UNITS else field_of(name).unit
            documents[name] = array_document(stream.metadata, {"unit": unit})
        folders = {str(parent) for name in self._streams for parent in Path(name).parents} - {"."}
        for folder in sorted(folders, reverse=True):
            documents[folder] = group_document()
        about = {"shard_version": SHARD_VERSION, "unit_id": self._unit_id, **layout.to_json()}
        about |= {"episodes": len(self._episodes), "steps": self.steps}
        documents["."] = group_document({GROUP_KEY: about})
        return [self._write_document(name, document) for name, document in documents.items()]

    def _write_document(self, name: str, document: Mapping[str, Any]) -> FileRecord:
        file = AppendFile(self._path / name / "zarr.json")
        file.append(json_bytes(document))
        file.close()
        return file.record(self._path)


def _episode_record(episode: Episode, *, start: int) -> dict[str, Any]:
    """What the shard and the manifest say about one episode: JSON values only."""
    masks = [rows for name, rows in episode.arrays.items() if name == "valid" or name.startswith("label/valid/")]
    record = {
        "episode_id": episode.episode_id,
        "parent_id": episode.parent_id,
        "layer": episode.layer,
        "embodiment": episode.embodiment,
        "instruction": episode.instruction,
        "original_instruction": episode.original_instruction,
        "rate_hz": float(episode.rate_hz),
        "length": episode.length,
        "start": start,
        "invalid_steps": int(np.count_nonzero(~np.logical_and.reduce(masks))) if masks else 0,
        "verdicts": [dict(verdict) for verdict in episode.verdicts],
        "provenance": dict(episode.provenance),
    }
    try:
        canonical_json(record)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"episode {episode.episode_id!r}: verdicts and provenance hold JSON values only, and no NaN ({error})"
        ) from error
    return record
