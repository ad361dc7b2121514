"""Clips and short fits that the benchmarks of latent actions share."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import cache_folder
from lapa.evaluation.probe_tables import Table, probe_tables
from lapa.fitting.clips import ClipConfig, LapaClip
from lapa.fitting.fit import LapaFit, LapaFitConfig, clips_of, fit
from lapa.fitting.health import Health
from lapa.fitting.targets import motion_of
from lapa.network.model import LatentActionModel
from storage.datasets.dataset import Dataset
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.testing import find_real_data, write_unit
from storage.training_reader.training_data import TrainingData

G1_SIZE_PX = (72, 96)
G1_HELD_OUT = (22, 23, 24, 25, 26, 27)
"""The last six of the 28 recordings, by place: none was made between two that a model learns from."""
G1_PARTS = ("right_arm", "right_hand")


@dataclass(frozen=True)
class ClipSplit:
    """The data that a model is fitted to, and its clips: those to train on and those held out."""

    data: tuple[TrainingData, ...]
    training: list[LapaClip]
    held_out: list[LapaClip]

    @classmethod
    def of(cls, data: Sequence[TrainingData], size_px: tuple[int, int], config: ClipConfig) -> "ClipSplit":
        both = [
            [clip for each in data for clip in clips_of(each, each.episodes()[held_out], size_px, config)]
            for held_out in (False, True)
        ]
        return cls(tuple(data), both[0], both[1])


def g1_clips() -> ClipSplit:
    """The real Unitree G1 episodes at 96x72: 22 to train on, 6 held out."""
    root = cache_folder() / "g1-96x72"
    if not (root / "dataset.json").exists():
        config = ImportConfig(path=str(find_real_data("g1_real_bottle")), size_px=G1_SIZE_PX, codec="high")
        Dataset.create(root, name="g1")
        write_unit(root, list(read_episodes(config)))
    dataset = Dataset.open(root)
    ids = dataset.index.table["episode_id"].to_pylist()
    data = TrainingData(dataset=dataset, action="", held_out=frozenset(ids[place] for place in G1_HELD_OUT))
    return ClipSplit.of([data], G1_SIZE_PX, ClipConfig())


def health_figures(health: Health) -> dict[str, float]:
    """What gates judge, by the names of the tables."""
    return {
        "codes used": health.used_share,
        "perplexity over codebook": health.perplexity_share,
        "reconstruction over copying": health.reconstruction,
        "error to the future over that to the present": health.toward_future,
        "endpoint swap": health.swap,
        "S-PCFC": health.static_cosine,
        "held-out pairs": float(health.pairs),
    }


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
        return fit(split.data, config, Path(folder) / "model")


def g1_probes(model: LatentActionModel, split: ClipSplit, *, baselines: bool = False) -> Table:
    """R2 by feature for the right arm and hand of the G1."""
    tables = probe_tables(
        model, split.training, split.held_out, motion=partial(motion_of, parts=G1_PARTS), baselines=baselines
    )
    return tables["real/g1_inspire"]


def use_threads(count: int) -> None:
    """Threads that torch computes on: `OMP_NUM_THREADS` where it is set, else `count`. On busy CPUs one is best."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", count)))
