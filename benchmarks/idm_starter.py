"""The command that makes the shipped inverse dynamics model: generates clips of the Panda, fits, calibrates, writes.

    python -m benchmarks.idm_starter --output idm/starter

200 training clips (100 Lift, 100 Stack; seed 1) and 60 for calibration (seed 2). Stopped, it goes on from `--work`.
About 80 minutes of CPU time on one core, more threads do not help.
"""

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.lapa_simulated import cache_folder
from benchmarks.measure import print_table
from groot.fit import FitConfig
from idm.fitting.fit import IdmFitConfig, fit
from idm.fitting.windows import TrainingData
from idm.network.augment import AugmentConfig
from idm.network.losses import LossConfig
from idm.presets import starter
from storage.datasets.dataset import Dataset

TRAINING_SEED, CALIBRATION_SEED = 1, 2


def starter_config(*, steps: int) -> IdmFitConfig:
    """How the starter is fitted."""
    return IdmFitConfig(
        model=replace(starter(), views=("agentview",)),
        loss=LossConfig(augment=AugmentConfig(shift=0.03, turn_rad=0.03, zoom=0.03)),
        fit=FitConfig(
            steps=steps,
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            weight_decay=0.02,
            average_decay=0.998,
            precision="bf16",
            validate_every=500,
            save_every=250,
            log_every=50,
        ),
        batch_size=32,
        settle_share=0.25,
    )


def starter_data(work: Path) -> list[TrainingData]:
    """Training and calibration clips, generated unless they are in `work`."""
    from benchmarks.panda_clips import Clips, panda_dataset

    train = panda_dataset(work / "train", Clips(episodes=100, seed=TRAINING_SEED))
    held_out = panda_dataset(work / "calibration", Clips(episodes=30, seed=CALIBRATION_SEED))
    return [TrainingData(dataset=train, held_out_share=0.0), TrainingData(dataset=held_out, held_out=_ids(held_out))]


def _ids(dataset: Dataset) -> frozenset[str]:
    return frozenset(str(name) for name in dataset.index.table["episode_id"].to_pylist())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idm_starter", description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=cache_folder() / "idm-starter")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    data = starter_data(options.work)
    model = fit(data, starter_config(steps=options.steps), options.output, folder=options.work / "training")
    assert model.card is not None
    scores = model.card.metrics["panda"]
    print_table({name: value for name, value in scores.items() if isinstance(value, float)}, {})


if __name__ == "__main__":
    main()
