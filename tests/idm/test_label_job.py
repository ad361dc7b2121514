"""The stage in its job: predicted actions as a sidecar that training reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from groot.checkpoint import ModelCard
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.saved_model import IdmModel, save_idm
from idm.network.model import Idm
from idm.presets import preset
from idm.testing import PUSHED, world_dataset
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import run_job
from storage.datasets.dataset import Dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.training_data import TrainingData
from storage.training_reader.windows import Windows


def written_model(folder: Path) -> IdmModel:
    torch.manual_seed(0)
    config = replace(preset("tiny"), action_sizes=(3,))
    random = np.random.default_rng(0)
    chunks = random.normal(size=(50, 2, 3)).astype(np.float32)
    chunks[..., 2] = np.sign(chunks[..., 2])
    targets = {PUSHED.name: EmbodimentTargets.fitted(PUSHED, chunks)}
    model = IdmModel(network=Idm(config), config=config, targets=targets, cameras={"front": ("front",)})
    return save_idm(folder, model, ModelCard(kind="idm", preset="tiny", config={}))


def label_job(dataset: Dataset, model: Path) -> Job:
    return Job(
        name="label-idm",
        stages=(("read_unit", {}), ("idm_label", {"model": str(model), "device": "cpu"})),
        units=label_units(dataset),
        sink="labels/idm",
        provides=fields_of(dataset),
    )


def test_labels_become_a_sidecar_that_training_reads_where_they_are_valid(tmp_path: Path) -> None:
    model = written_model(tmp_path / "model")
    dataset = world_dataset(tmp_path / "data", episodes=3, length=12)
    run_job(dataset.root, label_job(dataset, tmp_path / "model"))
    labelled = Dataset.open(dataset.root, labels=("idm",))
    for episode in labelled.episodes():
        valid = episode.arrays["label/valid/predicted"]
        assert valid.tolist() == [True] * 11 + [False]
        assert episode.provenance["idm"]["model"] == model.content_hash
        assert episode.arrays["label/confidence/predicted"].shape == (12, 2)
    source = Source(dataset=labelled, action="action/predicted", head="pushed_predicted")
    windows = Windows([source], WindowConfig(horizon_steps=4))
    assert windows.embodiments == ("pushed_predicted",)
    assert len(windows) == 3 * 11, "no window begins at a step without a label"
    assert TrainingData(dataset=labelled, action="action/predicted").episodes()[0]
