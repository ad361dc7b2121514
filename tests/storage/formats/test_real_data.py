"""The quirks of data that people really share, on that data: run where it is there (see docs/foreign-formats.md)."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.episode import Episode
from storage.formats.import_item import ImportConfig, VideoOptions
from storage.formats.import_stage import list_items, provides_of, read_episodes
from storage.formats.lerobot.exporter import export_lerobot
from storage.formats.testing import read_parquet
from storage.formats.video.reader import frames_of, presentation_times, probe
from storage.testing import real_data

Import = Callable[..., list[Episode]]


@pytest.fixture(scope="module")
def real() -> Import:
    def load(name: str, **settings: Any) -> list[Episode]:
        return list(read_episodes(ImportConfig(path=str(real_data(name)), **settings)))

    return load


@pytest.fixture(scope="module")
def gr1(real: Import) -> list[Episode]:
    return real("gr1_sim_pick_place", layer="simulation", size_px=(128, 128), codec="high")


@pytest.fixture(scope="module")
def g1(real: Import) -> list[Episode]:
    return real("g1_real_bottle", episodes=(1, 29, 31), size_px=(120, 160), codec="high")


def test_all_gr1_demonstrations_arrive(gr1: list[Episode]) -> None:
    assert [episode.length for episode in gr1] == [416, 470, 470, 412, 328]
    for episode in gr1:
        assert (episode.embodiment, episode.rate_hz, episode.layer) == ("gr1", 20.0, "simulation")
        assert episode.instruction.startswith("pick the ")
        assert episode.arrays["state"].shape == episode.arrays["action/ground_truth"].shape == (episode.length, 44)
        assert episode.arrays["valid"].all()
        assert list(episode.cameras) == ["ego_view"], "the 1280x800 camera of info.json has no files"
    assert len({episode.instruction for episode in gr1}) == 5


def test_gr1_rows_are_the_recorded_ones(gr1: list[Episode]) -> None:
    for number, episode in enumerate(gr1):
        rows = read_parquet(real_data("gr1_sim_pick_place") / f"data/chunk-000/episode_{number:06d}.parquet")
        assert (episode.arrays["action/ground_truth"] == rows["action"].astype(np.float32)).all()
        assert (episode.arrays["state"] == rows["observation.state"].astype(np.float32)).all()
        assert (episode.arrays["timestamp"] == rows["timestamp"]).all()
        assert (episode.arrays["foreign/next.reward"][:, 0] == rows["next.reward"]).all()


def test_gr1_survives_export_and_import(gr1: list[Episode], tmp_path: Path) -> None:
    export_lerobot(gr1, tmp_path / "out")
    for one, other in zip(gr1, read_episodes(ImportConfig(path=str(tmp_path / "out"), codec="high")), strict=True):
        _assert_same(one, other)
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    published = json.loads((real_data("gr1_sim_pick_place") / "meta/stats.json").read_text())
    for column in ("observation.state", "action"):
        for key, values in published[column].items():
            np.testing.assert_allclose(stats[column][key], values, rtol=1e-4, atol=2e-6)


def test_a_real_humanoid_arrives_without_modality_and_with_gaps(g1: list[Episode]) -> None:
    assert [episode.provenance["imported"]["episode_index"] for episode in g1] == [1, 29, 31]
    assert [episode.length for episode in g1] == [393, 221, 267]
    for episode in g1:
        assert (episode.embodiment, episode.rate_hz, episode.layer) == ("g1_inspire", 30.0, "real")
        assert episode.instruction == "Pick up the yellow bottle on the table."
        assert episode.arrays["state"].shape == (episode.length, 26)
        assert episode.arrays["timestamp"].tolist() == [step / 30 for step in range(episode.length)]
        assert episode.cameras["cam_high"].height_px == 120


def test_a_real_humanoid_survives_export_and_import(g1: list[Episode], tmp_path: Path) -> None:
    export_lerobot(g1, tmp_path / "out")
    for one, other in zip(g1, read_episodes(ImportConfig(path=str(tmp_path / "out"), codec="high")), strict=True):
        _assert_same(one, other)


def _assert_same(one: Episode, other: Episode) -> None:
    for name in ("episode_id", "embodiment", "layer", "length", "rate_hz", "instruction"):
        assert getattr(one, name) == getattr(other, name)
    assert {name: array.tobytes() for name, array in one.arrays.items()} == {
        name: array.tobytes() for name, array in other.arrays.items()
    }
    for name, frames in one.cameras.items():
        some = range(0, len(frames), 29)
        error = frames.decode(some).astype(float) - other.cameras[name].decode(some)
        assert 10 * np.log10(255**2 / np.square(error).mean()) > 33
        assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.5, "no channel drifts"


def test_av1_frames_are_counted_and_timed_exactly(real: Import) -> None:
    path = real_data("g1_real_bottle") / "videos/chunk-000/observation.images.cam_high/episode_000029.mp4"
    info = probe(path)
    assert (info.codec, info.frames, info.rate) == ("libdav1d", 221, Fraction(30))
    assert presentation_times(path) == [Fraction(step, 30) for step in range(221)]
    assert sum(1 for _ in frames_of(path, start_s=5.0)) == 221 - 150


def test_generated_clips_come_with_what_they_show(real: Import) -> None:
    options = VideoOptions(captions_file="clips.jsonl", caption_key="shows")
    episodes = real("neural_clips", layer="neural", embodiment="gr1", size_px=(120, 208), fit="pad", videos=options)
    assert sorted(episode.length for episode in episodes) == [49, 49, 81, 81, 81, 81, 81]
    for episode in episodes:
        assert (episode.rate_hz, episode.layer) == (8.0, "neural")
        assert episode.instruction
        assert episode.provenance["caption"]["views"]


def test_three_cameras_are_one_episode(real: Import) -> None:
    config = ImportConfig(
        path=str(real_data("real_clips")), layer="real", size_px=(90, 160), videos=VideoOptions(files_are="cameras")
    )
    assert "video/wrist_image_left" in provides_of(list_items(config))
    (episode,) = read_episodes(config)
    assert sorted(episode.cameras) == ["exterior_image_1_left", "exterior_image_2_left", "wrist_image_left"]
    assert (episode.length, episode.rate_hz) == (419, 15.0)
