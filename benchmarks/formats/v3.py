"""LeRobot v3.0: CPU per frame to import many episodes out of one mp4, beside plain PyAV reading that mp4 once; and
the time to list a set of 10,000 episodes."""

import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg

from benchmarks import measure
from benchmarks.storage.scene import camera_images
from storage.episode import Episode
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import list_items, read_episodes
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.formats.testing.lerobot_v3 import tiny_lerobot_v3
from storage.formats.video.writer import VideoCoding
from storage.frames import Frames

BARS = {
    "v3_import_over_plain_decode_and_jpeg_h264": {"at_most": 1.15},
    "v3_import_over_plain_decode_and_jpeg_av1": {"at_most": 1.15},
    "v3_list_10000_episodes_s": {"at_most": 10.0},
}


def run(quick: bool) -> dict[str, Any]:
    """Episodes of 80 frames of 224x224 in one file, and a set of 10,000 tiny episodes."""
    episodes, rounds = (6, 3) if quick else (12, 7)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for codec in ("h264", "av1"):
            figures |= _import(Path(name) / codec, codec, episodes, rounds)
        figures["v3_list_10000_episodes_s"] = _list(Path(name) / "many", 10_000)
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _import(root: Path, codec: str, count: int, rounds: int) -> dict[str, float]:
    coding = VideoCoding(codec=codec, crf=18 if codec == "h264" else 30)  # type: ignore[arg-type]
    images = list(camera_images(80, seed=0))
    vector = np.random.default_rng(0).normal(size=(80, 44)).astype(np.float32)
    frames = Frames.encode(images)
    made = (
        Episode(
            episode_id=str(number),
            layer="simulation",
            embodiment="gr1",
            length=80,
            rate_hz=20.0,
            instruction="move",
            cameras={"front": frames},
            arrays={"state": vector + number, "action/ground_truth": vector},
        )
        for number in range(count)
    )
    export_lerobot(made, root, LeRobotExport(version="v3.0", video=coding))
    (video,) = root.rglob("*.mp4")
    config = ImportConfig(path=str(root))
    contestants = {"ours": lambda: [None for _ in read_episodes(config)], "plain": lambda: _plain(video)}
    seconds = measure.interleaved(contestants, rounds=rounds)
    return {
        f"v3_import_{codec}_ms": seconds["ours"].cpu_s / (80 * count) * 1e3,
        f"v3_plain_{codec}_ms": seconds["plain"].cpu_s / (80 * count) * 1e3,
        f"v3_import_over_plain_decode_and_jpeg_{codec}": seconds["ours"].cpu_s / seconds["plain"].cpu_s,
    }


def _plain(video: Path) -> None:
    """The whole file decoded once with libswscale's default conversion, and JPEG."""
    with av.open(str(video)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24", threads=1)
            simplejpeg.encode_jpeg(image, quality=90, colorsubsampling="420", fastdct=True)


def _list(root: Path, episodes: int) -> float:
    tiny_lerobot_v3(root, lengths=[2] * episodes)
    began = time.perf_counter()
    units = list_items(ImportConfig(path=str(root)))
    assert sum(len(unit) for unit in units) == episodes
    return time.perf_counter() - began
