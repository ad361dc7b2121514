"""Foreign formats: CPU per frame to import and to export, beside plain PyAV doing the bare minimum on equal files."""

import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg

from benchmarks import measure
from benchmarks.storage.scene import camera_images
from storage.episode import Episode
from storage.errors import MissingFileError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.lerobot.exporter import export_lerobot
from storage.formats.video.clip import FrameCoding, encode_video
from storage.formats.video.writer import VideoCoding, write_video
from storage.frames import Frames
from storage.testing import find_real_data

BARS = {
    "import_over_plain_decode_and_jpeg": {"at_most": 1.15},
    "import_over_plain_decode_and_jpeg_av1": {"at_most": 1.15},
    "export_over_plain_jpeg_and_h264": {"at_most": 1.25},
}


def run(quick: bool) -> dict[str, Any]:
    """Import and export clips of 224x224, h264 and AV1, and, where the real data is, an AV1 recording of 640x480."""
    steps, rounds = (120, 5) if quick else (300, 11)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = list(camera_images(steps, seed=0))
        figures: dict[str, float] = {}
        for codec, suffix in (("h264", ""), ("av1", "_av1")):
            coding = VideoCoding(codec=codec, crf=18 if codec == "h264" else 30)  # type: ignore[arg-type]
            write_video(images, folder / f"{codec}.mp4", rate_hz=20, coding=coding)
            figures |= {f"{key}{suffix}": value for key, value in _import(folder / f"{codec}.mp4", rounds).items()}
        figures |= _export(images, folder, rounds)
        figures |= _real(rounds)
    print("CPU per frame, one thread:")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _import(video: Path, rounds: int) -> dict[str, float]:
    count = sum(1 for _ in _plain_frames(video))
    contestants = {
        "ours": lambda: encode_video(video, FrameCoding()),
        "plain": lambda: [_plain_jpeg(frame) for frame in _plain_frames(video)],
        "decode": lambda: [None for _ in _plain_frames(video)],
    }
    seconds = measure.interleaved(contestants, rounds=rounds)
    return {
        "import_ms": seconds["ours"].cpu_s / count * 1e3,
        "import_wall_ms": seconds["ours"].wall_s / count * 1e3,
        "plain_decode_ms": seconds["decode"].cpu_s / count * 1e3,
        "plain_decode_and_jpeg_ms": seconds["plain"].cpu_s / count * 1e3,
        "import_over_plain_decode_and_jpeg": seconds["ours"].cpu_s / seconds["plain"].cpu_s,
    }


def _plain_frames(video: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(video)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        yield from container.decode(video=0)


def _plain_jpeg(frame: av.VideoFrame) -> bytes:
    """What most importers do: libswscale's default conversion, then JPEG."""
    image = frame.to_ndarray(format="rgb24", threads=1)
    payload: bytes = simplejpeg.encode_jpeg(image, quality=90, colorsubsampling="420", fastdct=True)
    return payload


def _export(images: list[Any], folder: Path, rounds: int) -> dict[str, float]:
    frames = Frames.encode(images)
    random = np.random.default_rng(0)
    vector = random.normal(size=(len(images), 44)).astype(np.float32)
    episode = Episode(
        episode_id="one",
        layer="simulation",
        embodiment="gr1",
        length=len(images),
        rate_hz=20.0,
        instruction="move",
        cameras={"front": frames},
        arrays={"state": vector, "action/ground_truth": vector},
    )
    numbers = iter(range(10**6))
    contestants = {
        "ours": lambda: export_lerobot([episode], folder / f"out-{next(numbers)}"),
        "plain": lambda: _plain_mp4(frames, folder / f"plain-{next(numbers)}.mp4"),
    }
    seconds = measure.interleaved(contestants, rounds=rounds)
    again = folder / "out-0"
    imported = measure.interleaved(
        {"import": lambda: list(read_episodes(ImportConfig(path=str(again))))}, rounds=rounds
    )
    return {
        "export_ms": seconds["ours"].cpu_s / len(images) * 1e3,
        "export_wall_ms": seconds["ours"].wall_s / len(images) * 1e3,
        "plain_jpeg_and_h264_ms": seconds["plain"].cpu_s / len(images) * 1e3,
        "export_over_plain_jpeg_and_h264": seconds["ours"].cpu_s / seconds["plain"].cpu_s,
        "lerobot_import_ms": imported["import"].cpu_s / len(images) * 1e3,
    }


def _plain_mp4(frames: Frames, path: Path) -> None:
    """The same video with the same settings, and nothing else."""
    with av.open(str(path), "w") as container:
        options = {"crf": "18", "preset": "veryfast", "bf": "0", "sc_threshold": "0"}
        stream: Any = container.add_stream("libx264", rate=Fraction(20), options=options)
        stream.width, stream.height, stream.pix_fmt = frames.width_px, frames.height_px, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.thread_count = 2, 1
        for image in _decoded(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def _decoded(frames: Frames) -> Iterable[Any]:
    return (frames.decode([index])[0] for index in range(len(frames)))


def _real(rounds: int) -> dict[str, float]:
    """A real recording, AV1 640x480 at 30 Hz, whole and at the size of most training sets."""
    try:
        root = find_real_data("g1_real_bottle")
    except MissingFileError as error:
        print(error)
        return {}
    sizes: dict[str, tuple[int, int] | None] = {"640x480": None, "224x224": (224, 224)}
    configs = {name: ImportConfig(path=str(root), episodes=(29,), size_px=size) for name, size in sizes.items()}
    steps = next(read_episodes(configs["224x224"])).length
    contestants = {name: lambda config=config: list(read_episodes(config)) for name, config in configs.items()}
    seconds = measure.interleaved(contestants, rounds=max(3, rounds // 2))
    return {f"real_av1_640x480_to_{name}_ms": seconds[name].cpu_s / steps * 1e3 for name in configs}
