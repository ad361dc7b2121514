"""Tiny foreign files for tests: written with the libraries that own the formats, never with our exporters."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from storage.testing import tiny_images

TINY_ENV_ARGS: Mapping[str, Any] = {
    "env_name": "Stack",
    "type": 1,
    "env_version": "1.5.2",
    "env_kwargs": {"robots": ["Panda"], "control_freq": 20},
}
TINY_MODEL = '<mujoco><asset><mesh file="/opt/{machine}/site-packages/robosuite/models/assets/a.stl"/></asset></mujoco>'


def tiny_video(
    path: Path,
    images: NDArray[np.uint8] | None = None,
    *,
    rate: Fraction = Fraction(20),
    times: Sequence[Fraction] | None = None,
    rotation_deg: float = 0.0,
    pixel_format: str = "yuv420p",
    keyframe_every: int = 4,
) -> NDArray[np.uint8]:
    """Write `images` (12 tiny ones by default) as H.264 in the container that `path` ends in, at a constant `rate` or
    at `times` in seconds, and return them."""
    images = tiny_images() if images is None else images
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"crf": "10", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = images.shape[1], images.shape[2], pixel_format
        stream.codec_context.gop_size = keyframe_every
        tick = Fraction(1, 90_000) if times else 1 / rate
        stream.codec_context.time_base = tick
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = tick
            frame.pts = int(times[number] / tick) if times else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return images


def tiny_lerobot(
    root: Path,
    *,
    numbers: Sequence[int] = (0, 1, 2),
    length: int = 8,
    sizes: tuple[int, int] = (26, 26),
    robot_type: str = "Unitree_G1_Inspire",
    cameras: Sequence[str] = ("ego",),
    rate: float = 20,
    modality: Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    tasks: Sequence[str] = ("pick up the disc",),
) -> Path:
    """A LeRobot v2.1 data set of float32 random walks and tiny videos; `columns` maps further columns to a value for
    every row, or to rows of shape (length, ...)."""
    (root / "meta").mkdir(parents=True, exist_ok=True)
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [sizes[0]], "names": None},
        "action": {"dtype": "float32", "shape": [sizes[1]], "names": None},
    }
    for camera in cameras:
        features[f"observation.images.{camera}"] = {
            "dtype": "video",
            "shape": [32, 48, 3],
            "names": ["height", "width", "channel"],
        }
    episodes = []
    for number in numbers:
        rows = _tiny_rows(number, length, sizes, rate) | _spread(columns or {}, length)
        write_parquet(rows, root / f"data/chunk-000/episode_{number:06d}.parquet")
        for place, camera in enumerate(cameras):
            path = root / f"videos/chunk-000/observation.images.{camera}/episode_{number:06d}.mp4"
            tiny_video(path, tiny_images(number * 7 + place, steps=length), rate=Fraction(rate).limit_denominator(1001))
        episodes.append({"episode_index": number, "tasks": [tasks[0]], "length": length})
    info = {
        "codebase_version": "v2.1",
        "robot_type": robot_type,
        "chunks_size": 1000,
        "fps": rate,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    write_lines(root / "meta/episodes.jsonl", episodes)
    write_lines(root / "meta/tasks.jsonl", [{"task_index": place, "task": text} for place, text in enumerate(tasks)])
    if modality is not None:
        (root / "meta/modality.json").write_text(json.dumps(modality))
    return root


def _tiny_rows(number: int, length: int, sizes: tuple[int, int], rate: float) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(number)
    return {
        "observation.state": random.normal(size=(length, sizes[0])).astype(np.float32),
        "action": random.normal(size=(length, sizes[1])).astype(np.float32),
        "timestamp": (np.arange(length) / rate).astype(np.float32),
        "frame_index": np.arange(length),
        "episode_index": np.full(length, number),
        "index": np.arange(length),
        "task_index": np.zeros(length, np.int64),
    }


def _spread(columns: Mapping[str, Any], length: int) -> dict[str, NDArray[Any]]:
    return {name: value if np.ndim(value) else np.full(length, value) for name, value in columns.items()}


def write_parquet(rows: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write columns (T,) or (T, D) the way LeRobot does: lists of variable length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {name: pyarrow.array(list(values) if values.ndim > 1 else values) for name, values in rows.items()}
    pyarrow.parquet.write_table(pyarrow.table(table), path)


def read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    """Every column of a parquet file as an array, lists stacked."""
    table = pyarrow.parquet.read_table(path)
    return {name: np.array(table.column(name).to_pylist()) for name in table.column_names}


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tiny_robomimic(
    path: Path,
    *,
    demos: int = 3,
    length: int = 6,
    cameras: Sequence[str] = ("agentview",),
    env_args: Mapping[str, Any] = TINY_ENV_ARGS,
    machine: str = "venv",
) -> Path:
    """A robomimic file as MimicGen writes it for one Panda, with a mask "train" of all but the last demonstration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(env_args)
        data.attrs["total"] = demos * length
        for number in range(demos):
            _tiny_demo(data.create_group(f"demo_{number}"), number, length, cameras, machine)
        names = np.array([f"demo_{number}" for number in range(demos - 1)], dtype="S8")
        file.create_dataset("mask/train", data=names)
    return path


def _tiny_demo(group: Any, number: int, length: int, cameras: Sequence[str], machine: str) -> None:
    random = np.random.default_rng(number)
    quaternion = random.normal(size=(length, 4))
    group.attrs["num_samples"] = length
    group.attrs["model_file"] = TINY_MODEL.format(machine=machine)
    group["actions"] = random.uniform(-1, 1, size=(length, 7))
    group["states"] = random.normal(size=(length, 21))
    group["obs/robot0_eef_pos"] = random.normal(size=(length, 3))
    group["obs/robot0_eef_quat_site"] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    group["obs/robot0_gripper_qpos"] = random.normal(size=(length, 2))
    group["obs/robot0_joint_pos"] = random.normal(size=(length, 7))
    group["obs/object"] = random.normal(size=(length, 10))
    group["datagen_info/eef_pose"] = random.normal(size=(length, 4, 4))
    group["datagen_info/subtask_term_signals/grasp"] = (np.arange(length) > 2).astype(np.int64)
    for place, camera in enumerate(cameras):
        group[f"obs/{camera}_image"] = tiny_images(number * 7 + place, steps=length)
