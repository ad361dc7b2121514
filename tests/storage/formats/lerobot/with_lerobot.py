"""Run by a Python that has lerobot 0.4 or 0.5: `write FOLDER` makes a v3.0 set with LeRobot itself, `read FOLDER FILE`
dumps what LeRobot reads of one. Frames are decoded by PyAV: LeRobot's own decoders want libraries of their own."""

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np

FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (6,), "names": [f"joint_{place}.pos" for place in range(6)]},
    "action": {"dtype": "float32", "shape": (6,), "names": [f"joint_{place}.pos" for place in range(6)]},
    "observation.images.front": {
        "dtype": "video",
        "shape": (96, 128, 3),
        "names": ["height", "width", "channels"],
    },
}


def content(number: int, length: int) -> tuple[Any, Any, Any]:
    """State, action (T, 6) and images (T, 96, 128, 3) of an episode."""
    random = np.random.default_rng(number)
    state, action = (random.normal(size=(length, 6)).astype(np.float32) for _ in range(2))
    rows, columns = np.mgrid[0:96, 0:128]
    images = [np.stack([rows * 2, columns, np.full(rows.shape, 20 * step + number)], -1) for step in range(length)]
    return state, action, np.array(images, np.uint8)


def write(root: Path) -> None:
    """Three episodes with two tasks."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    made = LeRobotDataset.create("me/set", 20, FEATURES, root=root, robot_type="so101_follower", video_backend="pyav")
    for number, length in enumerate((8, 6, 7)):
        for state, action, image in zip(*content(number, length), strict=True):
            frame = {"observation.state": state, "action": action, "observation.images.front": image}
            made.add_frame({**frame, "task": f"task {number % 2}"})
        made.save_episode()
    made.finalize()


def read(root: Path, out: Path) -> None:
    """Every item as LeRobot gives it, with windows of three actions and two frames."""
    from lerobot.datasets import lerobot_dataset

    lerobot_dataset.decode_video_frames = _decode
    deltas = {"action": [0, 0.05, 0.1], "observation.images.front": [-0.05, 0.0]}
    found = lerobot_dataset.LeRobotDataset("me/set", root=root, delta_timestamps=deltas)
    items = [found[place] for place in range(len(found))]
    names = ("observation.state", "action", "timestamp", "observation.images.front")
    np.savez(
        out,
        tasks=np.array([item["task"] for item in items]),
        subtasks=np.array([str(item.get("subtask", "")) for item in items]),
        **{name: np.stack([item[name].numpy() for item in items]) for name in names},
    )


def _decode(path: Any, timestamps: list[float], tolerance_s: float, backend: Any = None, **_: Any) -> Any:
    import torch

    with av.open(str(path)) as container:
        frames = [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    chosen = [min(frames, key=lambda frame: abs(frame[0] - wanted)) for wanted in timestamps]
    assert all(abs(frame[0] - wanted) < tolerance_s for frame, wanted in zip(chosen, timestamps, strict=True))
    return torch.from_numpy(np.stack([image for _, image in chosen])).permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    write(Path(sys.argv[2])) if sys.argv[1] == "write" else read(Path(sys.argv[2]), Path(sys.argv[3]))
