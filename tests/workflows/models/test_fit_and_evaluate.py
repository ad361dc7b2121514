"""Fitting and measuring an inverse dynamics model from data sets on disk."""

import json
from pathlib import Path

import pytest

from idm.labelling.gain_offset import Adjustment
from idm.testing import PUSHED, world_dataset, world_episode
from storage.datasets.dataset import Dataset
from storage.errors import InputError
from storage.testing import tiny_dataset, write_unit
from workflows.models.fit_and_evaluate import evaluate_idm, fit_idm

SETTINGS = {"fit": {"learning_rate": 3e-3, "average_decay": 0.9}, "batch_size": 16, "cameras": {"front": ["front"]}}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("idm")
    world_dataset(folder / "data", episodes=20)
    fit_idm([folder / "data"], folder / "model", preset="tiny", steps=20, settings=SETTINGS)
    return folder / "data", folder / "model"


def test_of_what_it_was_fitted_to_only_held_out_episodes_count(fitted: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = fitted
    evaluate_idm(data, model, output=tmp_path / "idm.json")
    assert json.loads((tmp_path / "idm.json").read_text())[PUSHED.name]["episodes"] == 3
    Dataset.create(tmp_path / "other", name="other").declare(PUSHED)
    write_unit(tmp_path / "other", [world_episode(seed, PUSHED) for seed in range(50, 54)], unit_id="other")
    evaluate_idm(tmp_path / "other", model, output=tmp_path / "other.json")
    assert json.loads((tmp_path / "other.json").read_text())[PUSHED.name]["episodes"] == 4


def test_figures_come_with_a_page_and_with_gain_and_offset(fitted: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = fitted
    evaluate_idm(data, model, output=tmp_path / "idm.json")
    figures = json.loads((tmp_path / "idm.json").read_text())[PUSHED.name]
    assert "replay_ratio" not in figures
    assert "coverage" in figures
    assert "data:image/png" in (tmp_path / "idm.html").read_text()
    adjustment = Adjustment.read(tmp_path / f"idm-{PUSHED.name}-adjustment.json")
    assert adjustment.gain.tolist() == figures["adjustment"]["gain"]


def test_a_data_set_without_a_body_that_the_model_knows_is_refused(fitted: tuple[Path, Path], tmp_path: Path) -> None:
    strange = tiny_dataset(tmp_path / "strange")
    with pytest.raises(InputError, match=PUSHED.name):
        evaluate_idm(strange.root, fitted[1], output=tmp_path / "idm.json")
