"""A tiny LeRobot v3.0 data set, file by file as lerobot 0.4 and later write it."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from storage.formats.testing import tiny_video
from storage.testing import tiny_images

KEY = "observation.images.front"


def tiny_lerobot_v3(
    root: Path,
    *,
    lengths: Sequence[int] = (8, 5, 7),
    rate: int = 20,
    tasks: Sequence[str] = ("pick up the disc", ""),
    size: int = 6,
    keyframe_every: int = 1,
    task_column: str = "task",
    order: Sequence[int] | None = None,
) -> Path:
    """`lengths` episodes in one parquet (a row group each) and one mp4. `order` writes their rows in another order than
    the table of episodes promises."""
    total = sum(lengths)
    rows = [_rows(number, length, rate, size, sum(lengths[:number])) for number, length in enumerate(lengths)]
    path = root / "data/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    with pyarrow.parquet.ParquetWriter(path, rows[0].schema) as writer:
        for number in order or range(len(lengths)):
            writer.write_table(rows[number])
    images = np.concatenate([tiny_images(number * 7, steps=length) for number, length in enumerate(lengths)])
    video = root / f"videos/{KEY}/chunk-000/file-000.mp4"
    tiny_video(video, images, rate=Fraction(rate), keyframe_every=keyframe_every)
    _write_meta(root, lengths, rate, tasks, task_column)
    vector = {"dtype": "float32", "shape": [size], "names": [f"joint_{place}.pos" for place in range(size)]}
    scalars = {name: {"dtype": "int64", "shape": [1], "names": None} for name in _INDICES}
    features = {
        "observation.state": vector,
        "action": vector,
        KEY: {"dtype": "video", "shape": [32, 48, 3], "names": ["height", "width", "channels"], "info": {}},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **scalars,
    }
    info = {
        "codebase_version": "v3.0",
        "robot_type": "so101_follower",
        "total_episodes": len(lengths),
        "total_frames": total,
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": rate,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


_INDICES = ("frame_index", "episode_index", "index", "task_index")


def _rows(number: int, length: int, rate: int, size: int, first: int) -> Any:
    random = np.random.default_rng(number)
    vectors = {
        name: pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(random.normal(size=length * size).astype(np.float32)), size
        )
        for name in ("observation.state", "action")
    }
    steps = np.arange(length)
    return pyarrow.table(
        {
            **vectors,
            "timestamp": (steps / rate).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, number),
            "index": first + steps,
            "task_index": np.zeros(length, np.int64),
        }
    )


def _write_meta(root: Path, lengths: Sequence[int], rate: int, tasks: Sequence[str], task_column: str) -> None:
    ends = np.cumsum(lengths)
    starts = ends - np.asarray(lengths)
    folder = root / "meta/episodes/chunk-000"
    folder.mkdir(parents=True)
    rows = {
        "episode_index": list(range(len(lengths))),
        "tasks": [[tasks[0]]] * len(lengths),
        "length": list(lengths),
        "data/chunk_index": [0] * len(lengths),
        "data/file_index": [0] * len(lengths),
        "dataset_from_index": starts.tolist(),
        "dataset_to_index": ends.tolist(),
        f"videos/{KEY}/chunk_index": [0] * len(lengths),
        f"videos/{KEY}/file_index": [0] * len(lengths),
        f"videos/{KEY}/from_timestamp": (starts / rate).tolist(),
        f"videos/{KEY}/to_timestamp": (ends / rate).tolist(),
        "stats/action/mean": [[0.0] * 6] * len(lengths),
    }
    pyarrow.parquet.write_table(pyarrow.table(rows), folder / "file-000.parquet")
    table = pyarrow.table({"task_index": list(range(len(tasks))), task_column: list(tasks)})
    pyarrow.parquet.write_table(table, root / "meta/tasks.parquet")


def add_columns(root: Path, columns: Mapping[str, Any], features: Mapping[str, Any]) -> Path:
    """Put `columns` (arrow arrays over all rows) and their `features` into a data set of `tiny_lerobot_v3`."""
    path = root / "data/chunk-000/file-000.parquet"
    file = pyarrow.parquet.ParquetFile(path)
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    table = pyarrow.concat_tables(groups)
    for name, values in columns.items():
        table = table.append_column(name, values)
    at = 0
    with pyarrow.parquet.ParquetWriter(path, table.schema) as writer:
        for group in groups:
            writer.write_table(table.slice(at, len(group)))
            at += len(group)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {**info["features"], **features}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root
