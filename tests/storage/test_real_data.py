"""Real demonstrations through the whole of storage: imported, committed, verified, counted, read for training."""

import json
from pathlib import Path

import numpy as np
import pytest

from storage.datasets.dataset import Dataset
from storage.datasets.merged_statistics import merged_statistics
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import embodiments_of, list_items, read_item
from storage.testing import real_data, write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows
from storage.verification.verify import verify


@pytest.fixture(scope="module")
def gr1(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    config = ImportConfig(path=str(real_data("gr1_sim_pick_place")))
    root = tmp_path_factory.mktemp("real") / "gr1"
    units = list_items(config)
    Dataset.create(root, name="gr1").declare(*embodiments_of(units).values())
    for unit in units:
        write_unit(root, [read_item(item, config) for item in unit])
    return Dataset.open(root)


def test_real_demonstrations_verify(gr1: Dataset) -> None:
    assert (len(gr1), gr1.steps) == (5, 2096)
    assert {finding.kind for finding in verify(gr1.root)} == {"plan"}  # nobody planned this import


def test_our_statistics_are_those_that_came_with_the_data(gr1: Dataset) -> None:
    theirs = json.loads((real_data("gr1_sim_pick_place") / "meta/stats.json").read_text())
    found = merged_statistics(gr1)["gr1"]
    for name, key in (("state", "observation.state"), ("action/ground_truth", "action")):
        ours, span = found[name], np.ptp([theirs[key]["min"], theirs[key]["max"]], axis=0)
        np.testing.assert_allclose(ours.mean, theirs[key]["mean"], atol=1e-4)
        np.testing.assert_allclose(ours.std, theirs[key]["std"], atol=1e-4)
        np.testing.assert_allclose(ours.min, theirs[key]["min"], atol=1e-6)
        assert (np.abs(ours.q01 - theirs[key]["q01"]) <= 1e-5 + 1e-4 * span).all()
        assert (np.abs(ours.q99 - theirs[key]["q99"]) <= 1e-5 + 1e-4 * span).all()
    assert found["action/ground_truth"].constant.sum() == 25


def test_a_window_of_a_real_demonstration_is_what_was_recorded(gr1: Dataset) -> None:
    config = WindowConfig(cameras={"ego": ("ego_view",)}, horizon_steps=10, horizon_s=1.0, size_px=(224, 224))
    windows = Windows([Source(dataset=gr1)], config)
    first = next(gr1.episodes())
    window = windows[100]
    np.testing.assert_allclose(window["action"], first.arrays["action/ground_truth"][100:120:2], atol=1e-5)
    assert window["images"]["ego"].shape == (1, 224, 224, 3)
    assert window["images"]["ego"].std() > 10
    assert window["instruction"] == first.instruction != ""


def test_missing_real_data_skips_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYRAMID_REAL_DATA", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="point PYRAMID_REAL_DATA at a folder that has it"):
        real_data("nothing")
