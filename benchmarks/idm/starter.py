"""The command that makes the shipped inverse dynamics model: generates clips of the Panda, fits, calibrates, writes.

    python -m benchmarks.idm.starter --output idm/starter                        # from random weights
    python -m benchmarks.idm.starter --output idm/starter --start-from starter   # go on from the weights that ship
    python -m benchmarks.idm.starter --output idm/starter --keep-weights         # only what is fitted beside them

Training: 100 Lift and 100 Stack on D0 (seed 1), and as the wide placements need more, 500 of each on D1 (seeds 11, 13).
Calibration: 30 of each task on both (seeds 2 and 12). Stopped, it goes on from `--work`. Some 0.3 s a step on one core;
more threads do not help.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure import cache_folder, print_table
from groot.fit import FitConfig
from idm.fitting.fit import IdmFitConfig, complete, fit
from idm.labelling.label_config import model_folder
from idm.labelling.saved_model import IdmModel, load_idm, save_idm
from idm.network.augment import AugmentConfig
from idm.network.losses import IdmLossConfig
from idm.presets import starter
from storage.datasets.dataset import Dataset
from storage.training_reader.training_data import TrainingData

TRAINING = (("D0", 100, 1), ("D1", 200, 11), ("D1", 300, 13))
CALIBRATION = (("D0", 30, 2), ("D1", 30, 12))
"""Placement, episodes of each task, seed. No attempt is in two of these, nor in the test clips of `idm_panda`."""


def starter_config(*, steps: int, start_from: str = "") -> IdmFitConfig:
    """How the starter is fitted; a fit that goes on from weights takes half the learning rate."""
    return IdmFitConfig(
        model=replace(starter(), views=("agentview",)),
        loss=IdmLossConfig(augment=AugmentConfig(shift=0.03, turn_rad=0.03, zoom=0.03)),
        fit=FitConfig(
            steps=steps,
            learning_rate=5e-4 if start_from else 1e-3,
            betas=(0.9, 0.98),
            weight_decay=0.02,
            average_decay=0.998,
            precision="bf16",
            validate_every=500,
            save_every=250,
            log_every=50,
        ),
        batch_size=32,
        fixed_norms_share=0.25,
        start_from=start_from,
    )


def starter_data(work: Path) -> list[TrainingData]:
    """Training and calibration clips, generated unless they are in `work`."""
    from benchmarks.idm.panda_clips import Clips, panda_dataset

    def _clips(where: str, count: int, seed: int) -> Clips:
        return Clips(episodes=count, seed=seed, placement=where)

    train = [
        panda_dataset(work / f"train-{where}-{seed}", _clips(where, count, seed)) for where, count, seed in TRAINING
    ]
    held_out = [
        panda_dataset(work / f"held-{where}-{seed}", _clips(where, count, seed)) for where, count, seed in CALIBRATION
    ]
    return [
        *(TrainingData(dataset=dataset, held_out_share=0.0) for dataset in train),
        *(TrainingData(dataset=dataset, held_out=_ids(dataset)) for dataset in held_out),
    ]


def completed_again(data: Sequence[TrainingData], config: IdmFitConfig, output: Path) -> IdmModel:
    """The shipped network with everything beside it fitted anew."""
    shipped = load_idm(model_folder("starter"))
    assert shipped.card is not None
    model, metrics = complete(shipped, data, config)
    card = replace(shipped.card, metrics={**shipped.card.metrics, **metrics})
    return save_idm(output, model, card)


def _ids(dataset: Dataset) -> frozenset[str]:
    return frozenset(str(name) for name in dataset.index.table["episode_id"].to_pylist())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idm.starter", description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=cache_folder() / "idm-starter")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--start-from", default="", help='folder of a model, or "starter"')
    parser.add_argument("--keep-weights", action="store_true", help="fit controller, calibration and scores alone")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    data = starter_data(options.work)
    config = starter_config(steps=options.steps, start_from=options.start_from)
    if options.keep_weights:
        model = completed_again(data, config, options.output)
    else:
        model = fit(data, config, options.output, folder=options.work / "training")
    assert model.card is not None
    scores = model.card.metrics["panda"]
    print_table({name: value for name, value in scores.items() if isinstance(value, float)}, {})


if __name__ == "__main__":
    main()
