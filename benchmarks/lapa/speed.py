"""What labelling costs beside one encoder pass a frame, and what a training step costs in time and memory.

A pass is the whole encoder once for each frame, from pixels to latents. With the later frame as second input it has a
part that runs once a frame and one that must run once a pair; labelling is held against the former alone too.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lapa.clips import use_threads
from benchmarks.measure import interleaved, print_table, result
from groot.checkpoint import ModelCard
from groot.fit import Position, as_tensors
from lapa.fitting.batches import BatchConfig, PairBatches
from lapa.fitting.clips import ClipConfig, decode_resized
from lapa.fitting.fit import training_loss
from lapa.fitting.windows import pair_reader
from lapa.labelling.label import label_clip
from lapa.labelling.label_config import LapaLabelConfig
from lapa.labelling.saved_model import LapaModel
from lapa.network.augment import AugmentConfig
from lapa.network.losses import LapaLossConfig
from lapa.network.model import LapaConfig, LatentActionModel
from lapa.presets import starter
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.frames import Frames
from storage.testing import write_unit
from storage.training_reader.training_data import TrainingData

FRAMES = 300
BARS = {
    "labelling over one encoder pass, difference": {"at_most": 1.3},
    "labelling over one encoder pass, later": {"at_most": 1.3},
}


def run(quick: bool) -> dict[str, Any]:
    use_threads(1)
    episode = circling()
    figures: dict[str, float] = {}
    for second in ("difference", "later"):
        config = replace(starter(), encoder=replace(starter().encoder, second_input=second))
        figures |= {f"{name}, {second}": value for name, value in _labelling(config, episode, quick).items()}
    figures |= _training_step(episode, quick)
    print(f"starter size, {FRAMES} frames of 128x128 px at 20 Hz, one thread")
    print_table(figures, BARS)
    return result(figures, BARS)


def circling(size_px: int = 128) -> Episode:
    """A square that circles over a patchwork: every step moves, so that every step is labelled."""
    patches = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    ground = patches.repeat(size_px // 8, axis=0).repeat(size_px // 8, axis=1)
    images = np.repeat(ground[None], FRAMES, axis=0)
    for step, image in enumerate(images):
        row, column = (round(size_px * (0.4 + 0.3 * turn)) for turn in (np.sin(step / 9), np.cos(step / 9)))
        image[row : row + size_px // 6, column : column + size_px // 6] = 255
    return Episode(
        episode_id="circling",
        layer="simulation",
        embodiment="human",
        length=FRAMES,
        rate_hz=20.0,
        cameras={"front": Frames.encode(images)},
    )


def _labelling(config: LapaConfig, episode: Episode, quick: bool) -> dict[str, float]:
    torch.manual_seed(0)
    model = LatentActionModel(config)
    model.train().quantise(torch.randn(256, config.codes, config.code_dim))
    model.eval()
    loaded = LapaModel(network=model, card=ModelCard(kind="lapa", preset="starter", config={}), clips=ClipConfig())
    size_px = (config.height_px, config.width_px)

    def label() -> None:
        label_clip(loaded, episode, LapaLabelConfig())

    def encode_once() -> None:
        _one_pass(model, decode_resized(episode.cameras["front"], size_px, range(FRAMES))[0])

    images = decode_resized(episode.cameras["front"], size_px, range(FRAMES))[0]
    contestants: dict[str, Callable[[], object]] = {
        "label": label,
        "pass": encode_once,
        "no decoding": lambda: _one_pass(model, images),
    }
    if model.encoder.once_a_frame:
        contestants["frames alone"] = lambda: _one_pass(model, images, pairs=False)
    seconds = interleaved(contestants, rounds=3 if quick else 9)
    figures = {
        "labelling over one encoder pass": seconds["label"].cpu_s / seconds["pass"].cpu_s,
        "labelling over one encoder pass without decoding": seconds["label"].cpu_s / seconds["no decoding"].cpu_s,
        "labelling, CPU ms a frame": 1000 * seconds["label"].cpu_s / FRAMES,
    }
    if "frames alone" in seconds:
        decoding = seconds["pass"].cpu_s - seconds["no decoding"].cpu_s
        once_a_frame = decoding + seconds["frames alone"].cpu_s
        figures["labelling over what runs once a frame"] = seconds["label"].cpu_s / once_a_frame
    return figures


@torch.no_grad()
def _one_pass(model: LatentActionModel, images: np.ndarray[Any, np.dtype[np.uint8]], *, pairs: bool = True) -> None:
    """The encoder once over every frame, in batches as labelling takes them; without `pairs` what it does with single
    frames."""
    batch = LapaLabelConfig().batch
    for begin in range(0, len(images), batch):
        frames = model.look(torch.from_numpy(images[begin : begin + batch]))
        alone = model.encoder.of_frame(frames)
        if pairs:
            model.encoder.of_pair(alone, alone)


def _training_step(episode: Episode, quick: bool) -> dict[str, float]:
    """CPU time of an update at batch 48, in float32 and bf16, and the peak memory of a process that does some."""
    config = starter()
    model = LatentActionModel(config)
    optimizer = torch.optim.AdamW(model.parameters())
    loss = training_loss(LapaLossConfig(), AugmentConfig())
    with tempfile.TemporaryDirectory() as folder:
        Dataset.create(Path(folder), name="circling")
        write_unit(Path(folder), [episode])
        data = TrainingData(dataset=Dataset.open(Path(folder)), action="", held_out_share=0.0)
        reader = pair_reader(data, data.episodes()[0], (config.height_px, config.width_px), ClipConfig())
        batch = as_tensors(next(PairBatches([reader], BatchConfig(batch=48))(Position())))

    def update(bf16: bool) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            value = loss(model, batch)["loss"]
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    seconds = interleaved({"float32": lambda: update(False), "bf16": lambda: update(True)}, rounds=3 if quick else 9)
    return {
        "training step of 48 pairs, CPU s, float32": seconds["float32"].cpu_s,
        "training step of 48 pairs, CPU s, bf16": seconds["bf16"].cpu_s,
        "training process, peak memory GB": _peak_memory_gb(),
    }


def _peak_memory_gb() -> float:
    """Peak resident memory of a fresh process that does three updates."""
    program = (
        "import torch; from lapa.network.model import LatentActionModel; from lapa.presets import starter\n"
        "torch.set_num_threads(1); model = LatentActionModel(starter())\n"
        "optimizer = torch.optim.AdamW(model.parameters())\n"
        "frames = torch.rand(48, 3, 96, 96)\n"
        "for _ in range(3):\n"
        "    pair = model(frames, frames.flip(0)); optimizer.zero_grad()\n"
        "    (pair.predicted - frames).square().mean().add(pair.loss).backward(); optimizer.step()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
