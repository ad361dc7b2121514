"""The stage in its job: sidecars that join the data set they label."""

from pathlib import Path

import numpy as np
import pytest

from lapa.fitting.fit import LapaFit
from lapa.testing import moving_dataset
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import run_job
from storage.datasets.dataset import Dataset
from storage.errors import UnfitModelError
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows


def label_job(dataset: Dataset, **settings: object) -> Job:
    return Job(
        name="label-lapa",
        stages=(("read_unit", {}), ("lapa_label", {"windows_s": {"so_arm": 0.25}, **settings})),
        units=label_units(dataset),
        sink="labels/lapa",
        provides=fields_of(dataset),
    )


def test_labels_become_a_sidecar_in_the_order_of_the_steps(fitted: tuple[LapaFit, Path], tmp_path: Path) -> None:
    dataset = moving_dataset(tmp_path / "data", episodes=3)
    run_job(dataset.root, label_job(dataset, model=str(fitted[1])))
    for episode in Dataset.open(dataset.root, labels=("lapa",)).episodes():
        valid = episode.arrays["label/valid/latent"]
        assert valid.all()
        assert np.array_equal(np.isfinite(episode.arrays["action/latent"]).all(axis=1), valid)
        assert episode.provenance["lapa"]["model"] == fitted[0].model.card.content_hash


def test_the_trainer_sees_the_labels_as_the_embodiment_lapa(fitted: tuple[LapaFit, Path], tmp_path: Path) -> None:
    dataset = moving_dataset(tmp_path / "data", episodes=2)
    run_job(dataset.root, label_job(dataset, model=str(fitted[1])))
    labelled = Dataset.open(dataset.root, labels=("lapa",))
    source = Source(dataset=labelled, action="action/latent", head="lapa")
    windows = Windows([source], WindowConfig(horizon_steps=4))
    assert windows.embodiments == ("lapa",)
    batch = windows.__getitems__(range(len(windows)))
    assert batch["action"].shape[2] == fitted[0].model.config.latent_size
    assert np.isfinite(batch["action"]).all()
    valid = {e.episode_id: int(e.arrays["label/valid/latent"].sum()) for e in labelled.episodes()}
    assert len(windows) == sum(valid.values())  # no window begins at a step without a label


def test_two_runs_give_the_same_bytes(fitted: tuple[LapaFit, Path], tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        dataset = moving_dataset(tmp_path / name, episodes=2)
        run_job(dataset.root, label_job(dataset, model=str(fitted[1])))
        files = sorted((dataset.root / "labels" / "lapa").rglob("*.zarr/**/c*"))
        found.append([path.read_bytes() for path in files if path.is_file()])
    assert found[0]
    assert found[0] == found[1]


def test_an_unfit_model_ends_the_job_with_its_reason(tmp_path: Path) -> None:
    from lapa.testing import fit_tiny, tiny_fit_config

    fit_tiny(tmp_path / "unfit", tiny_fit_config(steps=1))
    dataset = moving_dataset(tmp_path / "data", episodes=2)
    with pytest.raises(UnfitModelError, match="fails its own gates"):
        run_job(dataset.root, label_job(dataset, model=str(tmp_path / "unfit")))
