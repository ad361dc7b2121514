"""Writing the files of LeRobot v3.0: rows of many episodes in one parquet (a row group each), their videos in one mp4
by stream copy, the table of episodes with the statistics of each, the table of tasks with its texts as pandas index.

A file is closed when the next episode would bring it over the size that info.json promises.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from storage.formats.lerobot.rows import arrow_column
from storage.formats.lerobot.v3.joined_video import JoinedVideo
from storage.formats.lerobot.v3.statistics import Statistics, merged_statistics, of_columns, of_images
from storage.formats.video.writer import VideoCoding
from storage.frames import Frames, frame_codec

DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_CHUNKS, _DATA_MB, _VIDEO_MB = 1000, 100, 200


class V3Files:
    """The shared files of one data set below `folder`."""

    def __init__(self, folder: Path, coding: VideoCoding) -> None:
        self._folder, self._coding = folder, coding
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        self._file = 0
        self._bytes = 0
        self._videos: dict[str, JoinedVideo] = {}
        self._episodes: list[dict[str, Any]] = []
        self._extras: list[dict[str, Any]] = []
        self._statistics: list[dict[str, Statistics]] = []
        self._files: list[Path] = []
        self._steps = 0

    def add(
        self,
        columns: Mapping[str, NDArray[Any]],
        cameras: Mapping[str, Frames],
        *,
        rate_hz: float,
        texts: Sequence[str],
        said: Mapping[str, Any],
        row: Mapping[str, Any],
    ) -> None:
        """Write one more episode; `cameras` maps feature keys to frames, `said` are the language columns as arrow
        arrays, `row` is what the table of episodes says beside what LeRobot needs."""
        number, length = len(self._episodes), len(columns["timestamp"])
        statistics = of_columns(columns)
        arrays = {name: arrow_column(values) for name, values in columns.items()} | dict(said)
        self._extras.append(dict(row))
        row = {"episode_index": number, "tasks": list(texts), "length": length}
        for key, frames in cameras.items():
            statistics[key] = of_images(frames)
            if frame_codec(frames.codec).channels == 0:
                arrays[key] = _pictures(frames)
                continue
            video = self._videos.setdefault(key, JoinedVideo(self._folder, key, self._coding, _VIDEO_MB * 1e6))
            file, start_s, end_s = video.add(frames, rate_hz)
            row |= {
                f"videos/{key}/chunk_index": file // _CHUNKS,
                f"videos/{key}/file_index": file % _CHUNKS,
                f"videos/{key}/from_timestamp": start_s,
                f"videos/{key}/to_timestamp": end_s,
            }
        file = self._write_rows(pyarrow.table(arrays))
        row |= {"data/chunk_index": file // _CHUNKS, "data/file_index": file % _CHUNKS}
        row |= {"dataset_from_index": self._steps, "dataset_to_index": self._steps + length}
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        self._steps += length
        self._episodes.append(row)
        self._statistics.append(statistics)

    def _write_rows(self, table: Any) -> int:
        if self._writer is not None and self._bytes + table.nbytes > _DATA_MB * 1e6:
            self._writer.close()
            self._writer, self._bytes = None, 0
            self._file += 1
        if self._writer is None:
            path = self._folder / DATA.format(chunk_index=self._file // _CHUNKS, file_index=self._file % _CHUNKS)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pyarrow.parquet.ParquetWriter(path, table.schema)
        self._writer.write_table(table, row_group_size=len(table))
        self._bytes += table.nbytes
        where = DATA.format(chunk_index=self._file // _CHUNKS, file_index=self._file % _CHUNKS)
        self._files.append(self._folder / where)
        return self._file

    def close(self, texts: Sequence[str], subtasks: Sequence[str]) -> list[Path]:
        """Finish every file and write the tables of episodes, tasks and subtasks; returns the file of each episode's
        rows."""
        if self._writer is not None:
            self._writer.close()
        for video in self._videos.values():
            video.close()
        path = self._folder / "meta/episodes/chunk-000/file-000.parquet"
        path.parent.mkdir(parents=True)
        told = [_flat(statistics) for statistics in self._statistics]
        rows = [{**row, **its} for row, its in zip(self._episodes, told, strict=True)]
        table = pyarrow.Table.from_pylist(rows)
        for name in dict.fromkeys(name for row in self._extras for name in row):
            table = table.append_column(name, _extra([row.get(name) for row in self._extras]))
        pyarrow.parquet.write_table(table, path)
        pyarrow.parquet.write_table(_texts("task", texts), self._folder / "meta/tasks.parquet")
        if subtasks:
            pyarrow.parquet.write_table(_texts("subtask", subtasks), self._folder / "meta/subtasks.parquet")
        return self._files

    def abandon(self) -> None:
        """Let go of what cannot be finished; pyarrow would try again, and complain, when the writer is collected."""
        if self._writer is not None:
            self._writer.is_open = False

    def statistics(self) -> dict[str, Any]:
        """stats.json: the episodes' statistics merged as LeRobot merges them."""
        return merged_statistics(self._statistics)

    def info(self) -> dict[str, Any]:
        """The keys of info.json that tell where files are and how large they grow."""
        return {
            "chunks_size": _CHUNKS,
            "data_files_size_in_mb": _DATA_MB,
            "video_files_size_in_mb": _VIDEO_MB,
            "data_path": DATA,
            "video_path": VIDEO if self._videos else None,
        }


def _pictures(frames: Frames) -> Any:
    """Depth images as LeRobot keeps images in a column: the bytes of a 16-bit PNG."""
    cells = []
    for index in range(len(frames)):
        _, content = cv2.imencode(".png", np.asarray(frames.decode([index])[0]))
        cells.append({"bytes": content.tobytes(), "path": None})
    return pyarrow.array(cells, pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}))


def _flat(statistics: Mapping[str, Statistics]) -> dict[str, Any]:
    return {
        f"stats/{feature}/{name}": values.tolist()
        for feature, its in statistics.items()
        for name, values in its.items()
    }


def _extra(values: Sequence[Any]) -> Any:
    """A column of the table of episodes; values of several kinds are written as JSON."""
    try:
        return pyarrow.array(values)
    except pyarrow.ArrowException:
        return pyarrow.array([None if value is None else json.dumps(value) for value in values])


def _texts(word: str, texts: Sequence[str]) -> Any:
    """The table of tasks or subtasks; its texts are marked as the index of a pandas frame, by which LeRobot looks them
    up."""
    number = f"{word}_index"
    table = pyarrow.table({number: pyarrow.array(range(len(texts)), pyarrow.int64()), word: list(texts)})
    text = {"name": word, "field_name": word, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    index = {"name": number, "field_name": number, "pandas_type": "int64", "numpy_type": "int64"}
    heading = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    about = {
        "index_columns": [word],
        "column_indexes": [{**heading, "metadata": {"encoding": "UTF-8"}}],
        "columns": [{**index, "metadata": None}, text],
        "creator": {"library": "pyarrow", "version": pyarrow.__version__},
        "pandas_version": "2.2.3",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(about)})
