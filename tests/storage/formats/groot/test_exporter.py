"""Exports for GR00T's trainers: statistics as they compute them, configs that name keys that are there, rows for
columns."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from storage.embodiment import embodiment_named
from storage.errors import ConfigError, UnknownNameError
from storage.formats.groot.exporter import GrootExport, export_groot
from storage.formats.groot.relative_statistics import relative_poses
from storage.formats.groot.rotation import matrix_of_rows, rows_of_columns, rows_of_matrix
from storage.formats.groot.versions import RULES, GrootVersion
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.robomimic.robosuite_state import rotation_6d
from storage.formats.testing import read_parquet
from storage.testing import tiny_episode

ROWS = "data/chunk-000/episode_000000.parquet"
VERSIONS: tuple[GrootVersion, ...] = ("n1.5", "n1.6", "n1.7")


def test_relative_statistics_are_those_of_all_windows(tmp_path: Path) -> None:
    episodes = [tiny_episode(seed, length=9 + seed, embodiment="gr1") for seed in range(3)]
    export_groot(episodes, tmp_path / "out", GrootExport(version="n1.7", horizon=5))
    told = json.loads((tmp_path / "out/meta/relative_stats.json").read_text())
    assert "left_hand" not in told
    span = embodiment_named("gr1").action.slices()["left_arm"]
    windows = np.stack(
        [
            episode.arrays["action/ground_truth"][start : start + 5, span].astype(np.float64)
            - episode.arrays["state"][start, span]
            for episode in episodes
            for start in range(episode.length - 4)
        ]
    )
    expected = {
        "mean": windows.mean(axis=0),
        "std": windows.std(axis=0),
        "min": windows.min(axis=0),
        "max": windows.max(axis=0),
        "q01": np.quantile(windows, 0.01, axis=0),
        "q99": np.quantile(windows, 0.99, axis=0),
    }
    for name, values in expected.items():
        assert np.abs(np.array(told["left_arm"][name]) - values).max() < 1e-6


@pytest.mark.parametrize("version", VERSIONS)
def test_the_config_names_the_keys_of_the_data_set(tmp_path: Path, version: GrootVersion) -> None:
    export_groot([tiny_episode(0, length=20, embodiment="gr1")], tmp_path / "out", GrootExport(version=version))
    text = (tmp_path / "out/groot_modality_config.py").read_text()
    words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    modality = json.loads((tmp_path / "out/meta/modality.json").read_text())
    prefix = "{}." if version == "n1.5" else ""
    for section in ("state", "action", "video"):
        assert {prefix.format(section) + name for name in modality[section]} <= words
    assert "annotation.human.action.task_description" in words
    about = json.loads((tmp_path / "out/meta/groot.json").read_text())
    assert about["embodiment_id"] == {"n1.5": 24, "n1.6": 20, "n1.7": 10}[version]
    assert about["horizon"] == RULES[version].horizon


def test_deltas_and_grippers_stay_absolute(tmp_path: Path) -> None:
    export_groot([tiny_episode(0, length=20)], tmp_path / "out", GrootExport(version="n1.6"))
    about = json.loads((tmp_path / "out/meta/groot.json").read_text())
    assert set(about["actions"].values()) == {"absolute"}
    assert json.loads((tmp_path / "out/meta/relative_stats.json").read_text()) == {}


def test_six_numbers_of_a_rotation_become_rows(tmp_path: Path) -> None:
    quaternions = np.random.default_rng(0).normal(size=(12, 4))
    columns = rotation_6d(quaternions).astype(np.float32)
    state = tiny_episode(0).arrays["state"].copy()
    span = embodiment_named("panda").state.slices()["end_effector_rotation"]
    state[:, span] = columns
    export_groot([tiny_episode(0, arrays={"state": state})], tmp_path / "out")
    rows = read_parquet(tmp_path / "out/data/chunk-000/episode_000000.parquet")["observation.state"][:, span]
    matrices = np.stack([columns[:, :3], columns[:, 3:], np.cross(columns[:, :3], columns[:, 3:])], axis=2)
    assert np.allclose(rows, matrices[:, :2].reshape(12, 6), atol=1e-6)


def test_an_import_of_ours_finds_the_columns_again_and_another_export_the_same_rows(tmp_path: Path) -> None:
    state = tiny_episode(0).arrays["state"].copy()
    span = embodiment_named("panda").state.slices()["end_effector_rotation"]
    state[:, span] = rotation_6d(np.random.default_rng(0).normal(size=(12, 4)))
    export_groot([tiny_episode(0, arrays={"state": state})], tmp_path / "once")
    again = list(read_episodes(ImportConfig(path=str(tmp_path / "once"))))
    assert again[0].arrays["state"].tobytes() == state.tobytes()
    export_groot(again, tmp_path / "twice")
    once, twice = (read_parquet(tmp_path / name / ROWS)["observation.state"] for name in ("once", "twice"))
    assert once.tobytes() == twice.tobytes()
    assert not np.allclose(once[:, span], state[:, span])


def test_turning_twice_gives_the_same_rotation() -> None:
    columns = rotation_6d(np.random.default_rng(1).normal(size=(5, 4)))
    assert np.allclose(rows_of_columns(rows_of_columns(columns)), columns)
    assert np.allclose(rows_of_matrix(matrix_of_rows(columns)), columns)


def test_a_pose_relative_to_itself_is_no_motion() -> None:
    pose = np.concatenate([np.random.default_rng(2).normal(size=(4, 3)), rotation_6d(np.eye(4))], axis=1)
    assert np.allclose(relative_poses(pose, pose), [0, 0, 0, 1, 0, 0, 0, 1, 0])


def test_unknown_tags_and_versions_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown embodiment tag 'gr2'.*of GR00T n1\.6"):
        GrootExport(version="n1.6", tag="gr2")
    with pytest.raises(UnknownNameError, match="unknown version of GR00T"):
        GrootExport(version="n9")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="horizon"):
        GrootExport(horizon=-1)
