"""What labelling costs on a CPU: against one encoder pass over the frames, and against the published labeller's shape.
(`python -m benchmarks gpu` measures it on a GPU.)"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.measure import interleaved, print_table, result
from idm.labelling.clip_windows import clip_windows
from idm.labelling.label import Labeller
from idm.labelling.label_config import model_folder
from idm.labelling.predict_clip import TorchNetwork, WindowPredictions, joined_predictions, slot_of
from idm.labelling.saved_model import load_idm
from idm.network.model import Idm
from storage.episode import Episode
from storage.pictures.read_ahead import Reading
from storage.testing import tiny_episode

BARS = {
    "label_over_encoder": {"at_most": 1.3},
    "published_shape_over_label": {"at_least": 5.0},
    "largest_difference": {"at_most": 1e-4},
}


def clip(frames: int, size_px: tuple[int, int]) -> Episode:
    """A clip of moving discs, JPEG-compressed."""
    return tiny_episode(0, length=frames, cameras=("agentview",), size_px=size_px)


def published_shape(labeller: Labeller, episode: Episode, head: str) -> WindowPredictions:
    """One window at a time, both of its frames decoded and encoded for it."""
    network, finder = PlainNetwork(labeller.model.network), labeller.finder
    windows = clip_windows(episode.timestamps(), frame_offsets_s=labeller.model.config.frame_offsets_s)
    slot, views = slot_of(head, labeller.model.targets), len(finder.cameras)
    predicted = []
    for now, later in zip(windows.now, windows.later, strict=True):
        features = network.encode(finder.decode(episode, [int(now), int(later)]))
        pair = [tuple(part[i * views : (i + 1) * views] for part in features) for i in (0, 1)]
        predicted.append(network.predict(pair[0], pair[1], slot=slot, views=views))
    return joined_predictions(predicted)


class PlainNetwork(TorchNetwork):
    """The model as it was trained: nothing folded, nothing kept between windows."""

    def __init__(self, model: Idm) -> None:
        super().__init__(model, at_once=1)
        self.model = model.eval()


def run(quick: bool) -> dict[str, Any]:
    frames, rounds = (256, 3) if quick else (400, 7)
    labeller = Labeller(load_idm(model_folder("starter")), reading=Reading(threads=1))
    episode = clip(frames, labeller.model.config.image_px)
    figures = on_one_core(labeller, episode, rounds=rounds) | on_all_cores(labeller, episode, rounds=rounds)
    print_table(figures, BARS)
    return result(figures, BARS)


def on_one_core(labeller: Labeller, episode: Episode, *, rounds: int) -> dict[str, float]:
    """CPU seconds of one thread: labelling over the encoder, the published shape over labelling."""
    torch.set_num_threads(1)
    head, frames = next(iter(labeller.model.targets)), episode.length
    network, finder = labeller.network, labeller.finder
    pictures = finder.decode(episode, range(frames))

    block = labeller.reading.block
    blocks = [range(start, min(start + block, frames)) for start in range(0, frames, block)]

    def encoder_alone() -> None:
        for places in blocks:
            network.encode(pictures[places.start : places.stop])

    def encoder_with_decoding() -> None:
        for places in blocks:
            network.encode(finder.decode(episode, places))

    contestants: dict[str, Callable[[], object]] = {
        "encoder": encoder_alone,
        "decode and encode": encoder_with_decoding,
        "label": lambda: labeller.label(episode, head),
        "published": lambda: published_shape(labeller, episode, head),
    }
    seconds = interleaved(contestants, rounds=rounds)
    ours, theirs = labeller.predict(episode, head).predictions, published_shape(labeller, episode, head)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    per_frame = 1000 / frames
    return {
        "label_over_encoder": seconds["label"].cpu_s / seconds["encoder"].cpu_s,
        "label_over_decode_and_encode": seconds["label"].cpu_s / seconds["decode and encode"].cpu_s,
        "published_shape_over_label_one_core": seconds["published"].cpu_s / seconds["label"].cpu_s,
        "largest_difference": difference,
        "label_cpu_ms_per_frame": seconds["label"].cpu_s * per_frame,
        "encoder_cpu_ms_per_frame": seconds["encoder"].cpu_s * per_frame,
        "published_cpu_ms_per_frame": seconds["published"].cpu_s * per_frame,
    }


def on_all_cores(labeller: Labeller, episode: Episode, *, rounds: int) -> dict[str, float]:
    """Wall seconds of both shapes with all the cores of the machine: what somebody waits who has a clip to label."""
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    head = next(iter(labeller.model.targets))
    contestants: dict[str, Callable[[], object]] = {
        "label": lambda: labeller.label(episode, head),
        "published": lambda: published_shape(labeller, episode, head),
    }
    seconds = interleaved(contestants, rounds=rounds)
    per_frame = 1000 / episode.length
    return {
        "cores": float(cores),
        "published_shape_over_label": seconds["published"].wall_s / seconds["label"].wall_s,
        "label_wall_ms_per_frame": seconds["label"].wall_s * per_frame,
        "published_wall_ms_per_frame": seconds["published"].wall_s * per_frame,
    }
