"""What relabelling costs: a long video of 640x480 at 30 Hz, curated without models, the memory that it takes, and the
whole job with models against the sum of its stages.

    python -m benchmarks relabel_speed            # an hour of video in place of three minutes without --quick

The video is made of real clips, again and again; the job runs on the local engine in a process of its own.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks import measure
from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import sinks_of
from storage.testing import find_real_data

_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
RATE_HZ = 30
_RECIPE = """
name: speed
output: unused
steps:
  - watch: {path: "${INPUT}", frames: FRAMES}
"""
_WITH_MODELS = """
name: speed
output: unused
steps:
  - watch: {path: "${INPUT}", frames: copy, hands: {model: landmarker}}
  - near_duplicates: {}
  - boxes: {model: starter, settings: {query: bottle}}
  - select: {name: good, thresholds: {near_duplicate: 0}}
  - label: {kind: lapa, model: starter, settings: {force: true}}
  - relabel_report: {}
"""


def run(quick: bool) -> dict[str, Any]:
    """Times real time in CPU seconds on one core, and the peak of memory, over a short and a long video."""
    seconds = (60, 180) if quick else (180, 3 * 3600)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("PYRAMID_SCRATCH")) as folder:
        for length in seconds:
            video = Path(folder) / f"{length}" / "video.mp4"
            made = write_long_video(video, length)
            for frames in ("copy", "reference") if length == seconds[0] else ("reference",):
                job = _relabel(video, Path(folder) / f"{length}-{frames}", _RECIPE.replace("FRAMES", frames))
                figures[f"{length} s, {frames}: times real time on one core"] = made / job["cpu_s"]
                figures[f"{length} s, {frames}: peak memory, MB"] = job["peak_mb"]
            video.unlink()
        for length in (150, 450):
            figures |= _with_models(Path(folder) / f"models-{length}", length)
    bars: dict[str, dict[str, float]] = {
        # On two cores at least ten times real time: five on each.
        f"{seconds[0]} s, copy: times real time on one core": {"at_least": 5.0},
        f"{seconds[1]} s, reference: peak memory, MB": {"at_most": 2000.0},
        **{name: {"at_most": 1.2} for name in figures if "whole job over" in name},
    }
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def write_long_video(path: Path, seconds: float, *, keyframe_every: int = 250) -> float:
    """An H.264 video of about `seconds` from real ones of 640x480 at 30 Hz; returns its exact length. One stretch is
    encoded, and its packets are repeated."""
    path.parent.mkdir(parents=True)
    source = sorted((find_real_data("g1_real_bottle") / "videos").rglob("*.mp4"))[:3]
    stretch = path.with_name("stretch.mp4")
    with av.open(str(stretch), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE_HZ, options={"preset": "veryfast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        for clip in source:
            with av.open(str(clip)) as reading:
                for frame in reading.decode(video=0):
                    image = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
                    container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    length = _repeat(stretch, path, seconds)
    stretch.unlink()
    return length


def _repeat(stretch: Path, path: Path, seconds: float) -> float:
    with av.open(str(stretch)) as reading, av.open(str(path), "w") as container:
        stream: Any = container.add_stream_from_template(reading.streams.video[0])
        packets = [packet for packet in reading.demux(video=0) if packet.size]
        base = Fraction(packets[0].time_base)
        content = [(bytes(packet), packet.pts, packet.is_keyframe) for packet in packets]
        length = int(Fraction(len(content), RATE_HZ) / base)
        times = max(1, round(seconds * RATE_HZ / len(content)))
        for number in range(times):
            for data, stamp, is_keyframe in content:
                packet = av.Packet(data)
                packet.pts = packet.dts = stamp + number * length
                packet.time_base, packet.stream, packet.is_keyframe = base, stream, is_keyframe
                container.mux(packet)
    return times * len(content) / RATE_HZ


def _with_models(root: Path, seconds: float) -> dict[str, float]:
    """The job with hands, boxes, latents and the page, over the CPU seconds that its stages wrote into their
    manifests. A stage's seconds do not hold the loading of its model, which happens once a job."""
    video = root / "in" / "video.mp4"
    write_long_video(video, seconds)
    job = _relabel(video, root / "out", _WITH_MODELS)
    sinks = sinks_of(root / "out")
    stages = sum(stage.cpu_s for sink in sinks for manifest in read_manifests(sink) for stage in manifest.stages)
    name = f"{seconds:g} s with models"
    return {
        f"{name}: CPU s": job["cpu_s"],
        f"{name}: CPU s of the stages": stages,
        f"{name}: whole job over the sum of its stages": job["cpu_s"] / stages,
        f"{name}: peak memory, MB": job["peak_mb"],
    }


def _relabel(video: Path, root: Path, steps: str) -> dict[str, float]:
    """Run the job in a process of its own, as a user does."""
    recipe = root.with_suffix(".yaml")
    recipe.write_text(steps)
    command = [
        sys.executable,
        "-m",
        "workflows",
        "relabel",
        str(video.parent),
        "-o",
        str(root),
        "--recipe",
        str(recipe),
    ]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "--engine", "local"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu_s, "wall_s": time.perf_counter() - began, "peak_mb": after.ru_maxrss * _RSS_BYTES / 1e6}
