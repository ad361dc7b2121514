"""Tiny recordings in the layouts of laboratories and simulators, written with the libraries that own the formats."""

import json
import struct
from pathlib import Path
from typing import Any, Literal

import cv2
import h5py
import numpy as np
import zarr
import zarr.storage
from numpy.typing import NDArray

from storage.formats.rlds.example import build_example
from storage.formats.rlds.tfrecord import masked_crc
from storage.formats.testing import tiny_video
from storage.testing import tiny_images


def numbers(seed: int, *shape: int) -> NDArray[np.float64]:
    """Random numbers that follow from `seed`."""
    return np.random.default_rng(seed).normal(size=shape)


def tiny_aloha(folder: Path, *, episodes: int = 2, length: int = 6, compressed: bool = False) -> Path:
    """ACT's episode_<i>.hdf5 of two arms and one camera."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(episodes):
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            file.attrs["sim"] = False
            file["action"] = numbers(number, length, 14)
            file["observations/qpos"] = numbers(number + 50, length, 14)
            file["observations/qvel"] = numbers(number + 90, length, 14)
            images = tiny_images(number, steps=length)
            file["observations/images/cam_high"] = _padded_jpeg(images) if compressed else images
    return folder


def _padded_jpeg(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    encoded = [cv2.imencode(".jpg", image[..., ::-1])[1].reshape(-1) for image in images]
    out = np.zeros((len(encoded), max(map(len, encoded))), np.uint8)
    for row, content in zip(out, encoded, strict=True):
        row[: len(content)] = content
    return out


def tiny_isaac_lab(path: Path, *, length: int = 6) -> Path:
    """Isaac Lab and Mimic: `states` is a group, and no rate is told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Isaac-Stack-Cube-Franka-IK-Rel-v0", "type": 2})
        for number in range(2):
            demo = data.create_group(f"demo_{number}")
            demo["actions"] = numbers(number, length, 7).astype(np.float32)
            for place, (name, width) in enumerate(
                (("eef_pos", 3), ("eef_quat", 4), ("gripper_pos", 2), ("joint_pos", 9))
            ):
                demo[f"obs/{name}"] = numbers(number + place * 10, length, width).astype(np.float32)
            demo["obs/table_cam"] = tiny_images(number, steps=length)
            demo["states/articulation/robot/joint_position"] = numbers(number, length, 9)
            demo["initial_state/articulation/robot/joint_position"] = numbers(number, 1, 9)
    return path


def tiny_libero(path: Path, *, length: int = 6, convention: str = "opengl") -> Path:
    """LIBERO: images upside down where the file says so, and a state in keys of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"type": 1, "env_kwargs": {"robots": ["Panda"], "control_freq": 20}})
        data.attrs["macros_image_convention"] = convention
        data.attrs["problem_info"] = json.dumps({"language_instruction": "open the drawer"})
        demo = data.create_group("demo_0")
        demo["actions"] = numbers(0, length, 7)
        demo["states"] = numbers(1, length, 21)
        for place, (name, width) in enumerate((("ee_states", 6), ("gripper_states", 2), ("joint_states", 7))):
            demo[f"obs/{name}"] = numbers(place + 2, length, width)
        demo["obs/agentview_rgb"] = tiny_images(0, steps=length)
    return path


def tiny_replay_zarr(
    path: Path, *, ends: tuple[int, ...] = (6, 10), umi: bool = False, zarr_format: Literal[2, 3] = 2
) -> Path:
    """A replay buffer of Diffusion Policy, or, with `umi`, of UMI: poses and no action."""
    group = zarr.open_group(zarr.storage.LocalStore(path), mode="w", zarr_format=zarr_format)
    total = ends[-1]
    if umi:
        arrays: dict[str, Any] = {
            "robot0_eef_pos": numbers(0, total, 3),
            "robot0_eef_rot_axis_angle": numbers(1, total, 3),
            "robot0_gripper_width": numbers(2, total, 1),
        }
    else:
        arrays = {"action": numbers(0, total, 2), "state": numbers(1, total, 5)}
    arrays["camera0_rgb"] = tiny_images(0, steps=total)
    for name, values in arrays.items():
        chunks = (1, *values.shape[1:]) if values.ndim == 4 else (4, *values.shape[1:])
        created = group.create_array(f"data/{name}", shape=values.shape, dtype=values.dtype, chunks=chunks)
        created[:] = values
    created = group.create_array("meta/episode_ends", shape=(len(ends),), dtype="int64", chunks=(len(ends),))
    created[:] = np.array(ends)
    return path


def tiny_maniskill(path: Path, *, length: int = 6) -> Path:
    """ManiSkill: one observation more than actions, and a JSON file beside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for number in range(2):
            group = file.create_group(f"traj_{number}")
            group["actions"] = numbers(number, length, 8).astype(np.float32)
            group["success"] = np.zeros(length, bool)
            group["obs/agent/qpos"] = numbers(number + 10, length + 1, 9).astype(np.float32)
            group["obs/sensor_data/base_camera/rgb"] = tiny_images(number, steps=length + 1)
    kwargs = {"robot_uids": "panda_wristcam", "control_mode": "pd_joint_pos"}
    episodes = [{"episode_id": number, "control_mode": "pd_joint_pos", "success": True} for number in range(2)]
    about = {"env_info": {"env_id": "PickCube-v1", "env_kwargs": kwargs}, "episodes": episodes}
    path.with_suffix(".json").write_text(json.dumps(about))
    return path


def tiny_agibot(root: Path, *, length: int = 6) -> Path:
    """AgiBot-World's raw layout of one task and one episode, with a depth camera of PNG files."""
    folder = root / "observations/327/648642"
    tiny_video(folder / "videos/head_color.mp4", tiny_images(0, steps=length))
    (folder / "depth").mkdir()
    for step in range(length):
        depth = tiny_images(1, steps=length)[step, ..., 0].astype(np.uint16) * 257
        cv2.imwrite(str(folder / f"depth/head_depth_{step:06d}.png"), depth)
    (root / "proprio_stats/327/648642").mkdir(parents=True)
    with h5py.File(root / "proprio_stats/327/648642/proprio_stats.h5", "w") as file:
        for place, (name, width) in enumerate((("joint/position", 14), ("effector/position", 2))):
            file[f"state/{name}"] = numbers(place, length, width)
            file[f"action/{name}"] = numbers(place + 5, length, width)
        file["state/effector/force"] = np.empty((0,))
        file["timestamp"] = (np.arange(length) * 1e9 / 30).astype(np.int64) + 10**18
    (root / "task_info").mkdir()
    parts = [{"start_frame": 0, "end_frame": 3, "action_text": "Reach"}, {"start_frame": 3, "action_text": "Grasp"}]
    row = {"episode_id": 648642, "task_name": "Pickup items", "label_info": {"action_config": parts}}
    (root / "task_info/task_327.json").write_text(json.dumps([row]))
    return root


def tiny_droid(root: Path, *, length: int = 6) -> Path:
    """One raw episode of DROID."""
    folder = root / "lab/success/2023-01-01/episode"
    folder.mkdir(parents=True)
    with h5py.File(folder / "trajectory.h5", "w") as file:
        file["action/joint_position"] = numbers(0, length, 7)
        file["action/gripper_position"] = numbers(1, length)
        file["action/cartesian_velocity"] = numbers(2, length, 6)
        file["observation/robot_state/joint_positions"] = numbers(3, length, 7)
        file["observation/robot_state/gripper_position"] = numbers(4, length)
    tiny_video(folder / "recordings/MP4/1234.mp4", tiny_images(0, steps=length))
    about = {"uuid": "lab+1", "wrist_cam_serial": "1234", "current_task": "Move object into a container"}
    (folder / "metadata_lab+1.json").write_text(json.dumps(about))
    return root


def tiny_rlds(folder: Path, *, episodes: int = 2, length: int = 4, name: str = "bridge_dataset") -> Path:
    """TFRecord files with their features.json, as Open X publishes Bridge."""
    version = folder / name / "1.0.0"
    version.mkdir(parents=True)

    def tensor(*shape: int) -> dict[str, Any]:
        return {"tensor": {"shape": {"dimensions": [str(size) for size in shape]}, "dtype": "float32"}}

    image = {"image": {"shape": {"dimensions": ["32", "48", "3"]}, "dtype": "uint8", "encodingFormat": "png"}}
    observation = {"featuresDict": {"features": {"state": tensor(7), "image_0": image}}}
    flag = {"tensor": {"shape": {}, "dtype": "bool"}}
    step = {"observation": observation, "action": tensor(7), "language_instruction": {"text": {}}, "is_first": flag}
    steps = {"sequence": {"feature": {"featuresDict": {"features": step}}}}
    meta: dict[str, Any] = {"featuresDict": {"features": {"file_path": {"text": {}}}}}
    features = {"featuresDict": {"features": {"steps": steps, "episode_metadata": meta}}}
    (version / "features.json").write_text(json.dumps(features))
    (version / "dataset_info.json").write_text(json.dumps({"name": name}))
    records = b"".join(tfrecord(_episode(number, length)) for number in range(episodes))
    (version / f"{name}-train.tfrecord-00000-of-00001").write_bytes(records)
    return folder


def _episode(number: int, length: int) -> bytes:
    images = tiny_images(number, steps=length)
    return build_example(
        {
            "steps/observation/state": numbers(number, length, 7).astype(np.float32),
            "steps/observation/image_0": [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images],
            "steps/action": numbers(number + 9, length, 7).astype(np.float32),
            "steps/language_instruction": [b"put the spoon on the towel"] * length,
            "steps/is_first": np.arange(length) == 0,
            "episode_metadata/file_path": f"/raw/{number}".encode(),
        }
    )


def tfrecord(content: bytes) -> bytes:
    """One framed record of a TFRecord file."""
    head = struct.pack("<Q", len(content))
    return head + struct.pack("<I", masked_crc(head)) + content + struct.pack("<I", masked_crc(content))
