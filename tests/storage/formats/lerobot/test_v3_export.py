"""Exporting LeRobot v3.0: import gives the same episodes back, and the files are laid out as LeRobot's own."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from storage.episode import Episode
from storage.errors import UnknownNameError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.formats.testing import tiny_lerobot
from storage.formats.testing.lerobot_v3 import tiny_lerobot_v3
from storage.formats.video.reader import presentation_times
from storage.formats.video.writer import VideoCoding
from storage.ids import canonical_json
from storage.testing import tiny_episode

V3 = LeRobotExport(version="v3.0")


def _import(root: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(root), **settings)))


def _episodes(root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(
        root / "meta/episodes/chunk-000/file-000.parquet"
    ).to_pylist()
    return rows


@pytest.mark.parametrize("rate", [20.0, 30000 / 1001])
def test_export_and_import_give_the_same_episodes(tmp_path: Path, rate: float) -> None:
    first = [tiny_episode(seed, length=7 + seed, rate_hz=rate, cameras=("front", "wrist")) for seed in range(3)]
    export_lerobot(first, tmp_path / "out", V3)
    for one, other in zip(first, _import(tmp_path / "out"), strict=True):
        assert (one.episode_id, one.instruction, one.length, one.rate_hz) == (
            other.episode_id,
            other.instruction,
            other.length,
            other.rate_hz,
        )
        assert {name: rows.tobytes() for name, rows in one.arrays.items()} == {
            name: rows.tobytes() for name, rows in other.arrays.items()
        }
        for name, frames in one.cameras.items():
            error = np.square(frames.decode().astype(float) - other.cameras[name].decode()).mean()
            assert 10 * np.log10(255**2 / error) > 30


def test_many_episodes_share_one_file_and_every_frame_is_on_time(tmp_path: Path) -> None:
    export_lerobot([tiny_episode(seed, length=5 + seed) for seed in range(4)], tmp_path / "out", V3)
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    video = "videos/observation.images.front/chunk-000/file-000.mp4"
    assert {
        "data/chunk-000/file-000.parquet",
        video,
        "meta/tasks.parquet",
        "meta/stats.json",
        "meta/info.json",
    } <= files
    assert len([name for name in files if name.endswith((".mp4", ".parquet"))]) == 4
    assert presentation_times(tmp_path / "out" / video) == [Fraction(step, 20) for step in range(26)]
    rows = _episodes(tmp_path / "out")
    assert [row["dataset_from_index"] for row in rows] == [0, 5, 11, 18]
    assert [row["videos/observation.images.front/from_timestamp"] for row in rows] == [0.0, 0.25, 0.55, 0.9]


def test_the_table_of_tasks_is_found_by_its_text(tmp_path: Path) -> None:
    episodes = [tiny_episode(seed, instruction=text) for seed, text in enumerate(("open it", "", "close it"))]
    export_lerobot(episodes, tmp_path / "out", V3)
    tasks = pyarrow.parquet.read_table(tmp_path / "out/meta/tasks.parquet").to_pandas()
    assert list(tasks.index) == ["open it", "", "close it"]
    assert tasks.loc["close it"].task_index == 2


def test_every_episode_carries_statistics_with_quantiles(tmp_path: Path) -> None:
    episode = tiny_episode(0)
    export_lerobot([episode], tmp_path / "out", V3)
    (row,) = _episodes(tmp_path / "out")
    action = episode.arrays["action/ground_truth"].astype(np.float64)
    assert np.allclose(row["stats/action/q90"], np.quantile(action, 0.9, axis=0))
    assert row["stats/action/count"] == [12]
    assert np.shape(row["stats/observation.images.front/mean"]) == (3, 1, 1)
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    assert np.allclose(stats["action"]["std"], action.std(axis=0))


def test_depth_keeps_its_16_bits(tmp_path: Path) -> None:
    episode = tiny_episode(0, cameras=("front",))
    deep = tiny_episode(0, cameras=("deep",), codec="depth").cameras["deep"]
    report = export_lerobot([episode.adding(cameras={"deep": deep})], tmp_path / "out", V3)
    assert not report.left_out
    (again,) = _import(tmp_path / "out")
    assert (again.cameras["deep"].decode() == deep.decode()).all()


def test_what_comes_from_v3_goes_back_in_its_own_words(tmp_path: Path) -> None:
    source = tiny_lerobot_v3(tmp_path / "source")
    export_lerobot(_import(source), tmp_path / "out", V3)
    given, came = (json.loads((root / "meta/info.json").read_text()) for root in (source, tmp_path / "out"))
    assert came["robot_type"] == given["robot_type"]
    assert came["features"]["action"] == given["features"]["action"]
    assert "observation.images.front" in came["features"]


def test_keys_and_names_of_an_so_arm_come_back(tmp_path: Path) -> None:
    joints = [
        f"{name}.pos" for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
    ]
    parts = {"single_arm": {"start": 0, "end": 5}, "gripper": {"start": 5, "end": 6}}
    modality = {
        "state": parts,
        "action": parts,
        "video": {"front": {"original_key": "observation.images.front"}},
        "annotation": {"human.task_description": {"original_key": "task_index"}},
    }
    source = tiny_lerobot(
        tmp_path / "source", sizes=(6, 6), cameras=("front",), robot_type="so101_follower", modality=modality
    )
    info = json.loads((source / "meta/info.json").read_text())
    for column in ("observation.state", "action"):
        info["features"][column]["names"] = joints
    (source / "meta/info.json").write_text(json.dumps(info))
    # As a shard stores it: JSON objects with sorted keys.
    stored = [replace(each, provenance=json.loads(canonical_json(each.provenance))) for each in _import(source)]
    export_lerobot(stored, tmp_path / "out")
    came = json.loads((tmp_path / "out/meta/modality.json").read_text())
    for section, entries in modality.items():
        assert list(came[section]) == list(entries), section
        for name, entry in entries.items():
            assert entry.items() <= came[section][name].items()
    again = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert again["robot_type"] == "so101_follower"
    assert again["features"]["action"]["names"] == joints
    assert "annotation.human.action.task_description" not in again["features"]


def test_another_version_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown version of LeRobot 'v9'"):
        LeRobotExport(version="v9")  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_either_codec_is_joined_without_encoding_twice(tmp_path: Path, codec: Any) -> None:
    coding = VideoCoding(codec=codec, crf=20)
    episodes = [tiny_episode(seed, length=5, size_px=(64, 64)) for seed in range(3)]
    export_lerobot(episodes, tmp_path / "out", LeRobotExport(version="v3.0", video=coding))
    for one, other in zip(episodes, _import(tmp_path / "out"), strict=True):
        error = np.square(one.cameras["front"].decode().astype(float) - other.cameras["front"].decode()).mean()
        assert 10 * np.log10(255**2 / error) > 28
