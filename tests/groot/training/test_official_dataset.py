"""The adaptor for the official trainer: every step that may start a sample once, with what was recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groot.training.official_dataset import OfficialDataset
from storage.embodiment import PANDA
from storage.errors import ConfigError, WorkFailedError
from storage.formats.groot.exporter import GrootExport, export_groot
from storage.testing import tiny_dataset, tiny_episode, write_unit


def opened(root: Path, **options: Any) -> OfficialDataset:
    return OfficialDataset(root, "tag", views={"video": ("front",)}, horizon=4, **options)


def test_every_step_comes_once_and_no_chunk_reaches_beyond_its_episode(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d", units=2, length=10)
    ours = opened(dataset.root, shard_size=8)
    assert sum(ours.get_shard_length(idx) for idx in range(len(ours))) == 6 * (10 - 4 + 1)
    ours.set_processor(lambda messages: messages[0]["content"])
    steps = [step for idx in range(len(ours)) for step in ours.get_shard(idx)]
    chunks = {np.concatenate(list(step["actions"].values()), axis=1).tobytes() for step in steps}
    recorded = {
        episode.arrays["action/ground_truth"][start : start + 4].tobytes()
        for episode in dataset.episodes()
        for start in range(7)
    }
    assert chunks == recorded
    assert steps[0]["images"]["video"][0].shape == (32, 48, 3)
    assert steps[0]["embodiment"] == "tag"


def test_statistics_are_given_by_part(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d")
    found = opened(dataset.root).get_dataset_statistics()
    rows = np.concatenate([episode.arrays["state"] for episode in dataset.episodes()])
    assert np.allclose(
        found["state"]["gripper"]["mean"], rows[:, PANDA.state.slices()["gripper"]].mean(axis=0), atol=1e-5
    )
    assert set(found["action"]) == {"position_delta", "rotation_delta", "gripper"}


def test_statistics_of_relative_chunks_are_those_of_an_export(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d", embodiment="gr1", length=10)
    told = opened(dataset.root).get_dataset_statistics()["relative_action"]
    export_groot(dataset.episodes(), tmp_path / "out", GrootExport(version="n1.7", horizon=4))
    exported = json.loads((tmp_path / "out/meta/relative_stats.json").read_text())
    assert set(told) == set(exported) >= {"left_arm", "right_arm", "waist"}
    for part, figures in exported.items():
        for name, values in figures.items():
            assert np.allclose(told[part][name], values, atol=1e-5), (part, name)
    assert np.shape(told["left_arm"]["q99"]) == (4, 7)
    panda = tiny_dataset(tmp_path / "p").root
    assert "relative_action" not in opened(panda).get_dataset_statistics(), "deltas are relative already"


def test_two_embodiments_and_a_missing_processor_are_refused(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d")
    with pytest.raises(WorkFailedError, match="set_processor"):
        opened(dataset.root).get_shard(0)
    write_unit(dataset.root, [tiny_episode(50, embodiment="gr1")])
    with pytest.raises(ConfigError, match="gr1"):
        opened(dataset.root)


def test_the_example_runs(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    data = tiny_dataset(tmp_path / "d", length=12).root
    command = [sys.executable, str(root / "examples" / "groot_trainer.py"), str(data)]
    here = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=here)
    assert "1 shards, the first of 30 steps" in done.stdout
