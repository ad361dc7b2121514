"""Clips and short fits that the benchmarks of latent actions share."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from lapa.evaluation.probe_tables import Table, probe_tables
from lapa.fitting.clips import Clip, ClipConfig, read_clips
from lapa.fitting.fit import LapaFit, LapaFitConfig, fit_clips
from lapa.fitting.targets import motion_of
from lapa.network.model import LatentActionModel
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.testing import find_real_data

G1_SIZE_PX = (72, 96)
G1_HELD_OUT = (2, 7, 12, 17, 22, 27)
"""Every fifth of the 28 episodes, by place."""
G1_PARTS = ("right_arm", "right_hand")


@dataclass(frozen=True)
class ClipSplit:
    """Clips to train on and clips held out."""

    training: list[Clip]
    held_out: list[Clip]


def g1_clips() -> ClipSplit:
    """The real Unitree G1 episodes at 96x72: 22 to train on, 6 held out."""
    config = ImportConfig(path=str(find_real_data("g1_real_bottle")), size_px=G1_SIZE_PX, codec="high")
    clips = list(read_clips(read_episodes(config), G1_SIZE_PX, ClipConfig()))
    held_out = [clips[place] for place in G1_HELD_OUT]
    return ClipSplit([clip for place, clip in enumerate(clips) if place not in G1_HELD_OUT], held_out)


def g1_config(*, steps: int, labelled_share: float = 0.0) -> LapaFitConfig:
    """The starter size at the shape of the G1's pictures."""
    config = LapaFitConfig.of_preset("starter", steps=steps)
    batches = replace(
        config.batches,
        labelled_share=labelled_share,
        label_parts={"g1_inspire": ("right_arm",)} if labelled_share else {},
    )
    return replace(
        config,
        model=replace(config.model, height_px=G1_SIZE_PX[0], width_px=G1_SIZE_PX[1]),
        batches=batches,
        training=replace(config.training, validate_every=0),
    )


def fit_once(split: ClipSplit, config: LapaFitConfig) -> LapaFit:
    """Fit in a folder that is thrown away, on the threads that torch has."""
    with tempfile.TemporaryDirectory() as folder:
        return fit_clips(split.training, split.held_out, config, Path(folder) / "model", data={})


def g1_probes(model: LatentActionModel, split: ClipSplit, *, baselines: bool = False) -> Table:
    """R2 by feature for the right arm and hand of the G1."""
    tables = probe_tables(
        model, split.training, split.held_out, motion=partial(motion_of, parts=G1_PARTS), baselines=baselines
    )
    return tables["real/g1_inspire"]


def use_threads(count: int) -> None:
    """Threads that torch computes on: `OMP_NUM_THREADS` where it is set, else `count`. On busy CPUs one is best."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", count)))


def mean_over(clips: Sequence[Clip], flag: int) -> float:
    """Share of all steps of `clips` that carry `flag`."""
    steps = sum(len(clip.flags) for clip in clips)
    return sum(int((clip.flags & flag > 0).sum()) for clip in clips) / max(steps, 1)
