"""What the loaders of GR00T N1.5, N1.6 and N1.7 read, column by column, on exports of simulated, mixed and real
data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from storage.formats.groot.exporter import GrootExport, export_groot
from storage.formats.groot.versions import GrootVersion
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.testing import read_parquet
from storage.formats.video.reader import presentation_times
from storage.testing import real_data, tiny_episode


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def check_contract(root: Path, version: GrootVersion) -> None:
    """Fail where a loader of `version` would not find what it reads."""
    info, modality, stats = (_json(root / f"meta/{name}.json") for name in ("info", "modality", "stats"))
    tasks = {row["task_index"]: row["task"] for row in _lines(root / "meta/tasks.jsonl")}
    about = _json(root / "meta/groot.json")
    for row in _lines(root / "meta/episodes.jsonl"):
        number = int(row["episode_index"])
        chunk = number // info["chunks_size"]
        path = root / info["data_path"].format(episode_chunk=chunk, episode_index=number)
        schema = pyarrow.parquet.read_schema(path)
        rows = read_parquet(path)
        assert len(rows["action"]) == row["length"]
        assert np.allclose(rows["timestamp"], np.arange(row["length"]) / info["fps"], atol=1e-4)
        for section, default in (("state", "observation.state"), ("action", "action")):
            assert modality[section]
            for entry in modality[section].values():
                column = entry.get("original_key", default)
                assert 0 <= entry["start"] < entry["end"] <= rows[column].shape[1]
                assert pyarrow.types.is_floating(schema.field(column).type.value_type)
        for name, entry in modality["annotation"].items():
            column = rows[entry.get("original_key", f"annotation.{name}")]
            assert column.dtype.kind == "i"
            assert set(column.tolist()) <= set(tasks)
        for name, entry in modality["video"].items():
            key = entry.get("original_key", f"observation.images.{name}")
            video = root / info["video_path"].format(episode_chunk=chunk, video_key=key, episode_index=number)
            assert len(presentation_times(video)) == row["length"]
            feature = info["features"][key]
            assert feature["names"] == ["height", "width", "channel"]
            assert feature["video_info"]["video.fps"] == info["fps"]
    for column, feature in info["features"].items():
        if "float" in feature["dtype"]:
            assert {name: len(values) for name, values in stats[column].items()} == dict.fromkeys(
                ("mean", "std", "min", "max", "q01", "q99"), feature["shape"][0]
            )
    if version != "n1.5":
        relative = _json(root / "meta/relative_stats.json")
        assert set(relative) <= {name for name, kind in about["actions"].items() if kind.startswith("relative")}
        for name, its in relative.items():
            width = modality["action"][name]["end"] - modality["action"][name]["start"]
            assert {np.shape(values) for values in its.values()} == {(about["horizon"], width)}


@pytest.mark.parametrize("version", ["n1.5", "n1.6", "n1.7"])
def test_a_simulated_mixture_is_what_the_loaders_read(tmp_path: Path, version: GrootVersion) -> None:
    mixture = [
        tiny_episode(seed, embodiment=embodiment, length=42, cameras=("ego_view",))
        for seed, embodiment in enumerate(("gr1", "panda", "gr1", "two_pandas"))
    ]
    report = export_groot(mixture, tmp_path / "out", GrootExport(version=version))
    assert len(report.paths) == 3
    for path in report.paths:
        check_contract(path, version)


@pytest.mark.parametrize("name", ["gr1_sim_pick_place", "g1_real_bottle"])
def test_real_recordings_are_what_the_loaders_read(tmp_path: Path, name: str) -> None:
    source = real_data(name)
    episodes = read_episodes(ImportConfig(path=str(source), limit=2, size_px=(60, 80)))
    report = export_groot(episodes, tmp_path / "out", GrootExport(version="n1.7"))
    for path in report.paths:
        check_contract(path, "n1.7")
        if (source / "meta/modality.json").is_file():
            given, came = _json(source / "meta/modality.json"), _json(path / "meta/modality.json")
            assert {section: set(came[section]) for section in given} == {name: set(its) for name, its in given.items()}
