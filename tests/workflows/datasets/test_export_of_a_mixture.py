"""A mixture of all layers with every kind of label goes through the exports and comes back: what a format cannot hold
is counted by name, everything else is equal."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.frames import Frames
from storage.labelling.labelled_runs import LeftOut, labelled_runs
from storage.labelling.labels import LabelFlag
from storage.testing import tiny_episode, write_unit
from storage.verdicts.selection import SelectionPolicy
from storage.verdicts.verdicts import Verdict
from workflows.datasets.export import ExportFormat, export_dataset
from workflows.datasets.selecting import select_episodes

LABELS = ("boxes", "features", "idm", "lapa", "rules")
FORMATS = ("groot-n1.5", "groot-n1.6", "groot-n1.7", "lerobot-v3")
HOLE = slice(5, 7)
"""Steps of the dreamed episodes that the inverse-dynamics model gave no label."""


def layers() -> dict[str, list[Episode]]:
    """Two episodes of each layer: simulated with depth and the simulator's states, dreamed without numbers, recorded
    with stamps and marks of validity, and people with hands and the motion of their camera."""
    random = np.random.default_rng(0)
    simulated = [
        tiny_episode(seed, length=12, arrays={"simulation/state": random.normal(size=(12, 9))}) for seed in (0, 1)
    ]
    deep = [tiny_episode(seed, length=12, cameras=("deep",), codec="depth").cameras for seed in (0, 1)]
    dreamed = [tiny_episode(seed, length=12, layer="neural", parent_id=simulated[0].episode_id) for seed in (2, 3)]
    stamps = {"timestamp": np.arange(12) / 20 + 1e-5, "valid": np.arange(12) != 4}
    real = [tiny_episode(seed, length=12, embodiment="gr1", layer="real", arrays=stamps) for seed in (4, 5)]
    seen: dict[str, NDArray[Any]] = {
        "source_frame": np.arange(12) * 2,
        "source_time": np.arange(12) / 15,
        "label/camera_motion": random.normal(size=(12, 9)).astype(np.float32),
        "label/motion": random.normal(size=(12, 2)).astype(np.float32),
        "label/hand_landmarks": random.normal(size=(12, 2, 21, 3)).astype(np.float32),
        "label/confidence/hands": random.uniform(size=(12, 2)).astype(np.float32),
        "label/flags/hands": np.arange(12).astype(np.uint16),
    }
    people = [tiny_episode(seed, length=12, embodiment="human", layer="human", arrays=seen) for seed in (6, 7)]
    return {
        "simulation": [replace(one, cameras={**one.cameras, **its}) for one, its in zip(simulated, deep, strict=True)],
        "neural": [replace(one, arrays={}) for one in dreamed],
        "real": real,
        "human": people,
    }


def predicted(episode: Episode) -> dict[str, NDArray[Any]]:
    valid = np.ones(12, bool)
    valid[HOLE] = episode.layer != "neural"
    random = np.random.default_rng(len(episode.episode_id))
    numbers = np.where(valid[:, None], random.normal(size=(12, 7)), np.nan).astype(np.float32)
    return {
        "action/predicted": numbers,
        "label/interval/predicted": np.abs(numbers),
        "label/confidence/predicted": np.where(valid[:, None], random.uniform(size=(12, 3)), 0).astype(np.float32),
        "label/valid/predicted": valid,
        "label/flags/predicted": np.where(valid, 0, LabelFlag.UNLABELLED | LabelFlag.UNFAMILIAR).astype(np.uint16),
    }


def latent(episode: Episode) -> dict[str, NDArray[Any]]:
    valid = np.arange(12) < 10
    codes = np.where(valid[:, None], np.arange(48).reshape(12, 4) % 8, -1).astype(np.int32)
    return {
        "action/latent": np.where(valid[:, None], codes, np.nan).astype(np.float32).repeat(2, axis=1),
        "label/codes": codes,
        "label/valid/latent": valid,
        "label/flags/latent": np.where(valid, 0, LabelFlag.UNLABELLED).astype(np.uint16),
    }


def boxes(episode: Episode) -> dict[str, NDArray[Any]]:
    found = np.random.default_rng(1).uniform(size=(12, 5)).astype(np.float32)
    return {"label/box": found, "label/valid/box": np.arange(12) > 2}


def features(episode: Episode) -> dict[str, NDArray[Any]]:
    tokens = np.random.default_rng(2).normal(size=(12, 3, 4)).astype(np.float16)
    return {"feature/context": tokens, "feature_mask/context": np.full((12, 3), 2, np.uint8)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mixture with five sidecars and a selection that leaves one simulated episode out."""
    root = tmp_path_factory.mktemp("mixture") / "data"
    Dataset.create(root, name="mixture")
    for layer, episodes in layers().items():
        unit = write_unit(root, episodes)
        bare = [replace(each, arrays={}, cameras={}, verdicts=(), provenance={}) for each in episodes]
        for name, of in {"lapa": latent, "boxes": boxes, "features": features}.items():
            write_unit(root, [replace(each, arrays=of(each)) for each in bare], unit_id=unit, sink=f"labels/{name}")
        if layer in ("simulation", "neural"):
            write_unit(root, [replace(each, arrays=predicted(each)) for each in bare], unit_id=unit, sink="labels/idm")
        judged = [replace(each, verdicts=(_verdict(layer, place),)) for place, each in enumerate(bare)]
        write_unit(root, judged, unit_id=unit, sink="labels/rules")
    select_episodes(root, "good", SelectionPolicy())
    return root


def _verdict(layer: str, place: int) -> dict[str, Any]:
    good = (layer, place) != ("simulation", 1)
    return Verdict(judge="blur", passed=good, score=0.9 if good else 0.1, reason="" if good else "too soft").to_json()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_of_label_comes_back_equal_or_is_counted_by_name(root: Path, tmp_path: Path, kind: Any) -> None:
    assert kind in get_args(ExportFormat)
    sent = list(Dataset.open(root, labels=LABELS, selection="good").episodes())
    left_out = LeftOut()
    expected = {run.episode_id: run for each in sent for run in labelled_runs(each, left_out)}
    report = export_dataset(root, tmp_path / "out", kind=kind, labels=LABELS, selection="good")

    again = {each.episode_id: each for path in report.paths for each in read_episodes(ImportConfig(path=str(path)))}
    assert len(sent) == 7
    assert again.keys() == expected.keys()
    for name, one in expected.items():
        assert_equal(one, again[name], without={"deep"} if kind != "lerobot-v3" else set())
    no_place = {} if kind == "lerobot-v3" else {"camera deep (depth)": 1}
    unlabelled = {"steps without a label (latent)": 7 * 2, "steps without a label (predicted)": 2 * 2}
    assert dict(report.left_out) == no_place | unlabelled


def assert_equal(one: Episode, other: Episode, *, without: set[str]) -> None:
    for name in ("parent_id", "layer", "embodiment", "length", "rate_hz", "instruction", "verdicts"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.arrays.keys() == other.arrays.keys()
    for name, rows in one.arrays.items():
        assert rows.dtype == other.arrays[name].dtype, name
        assert rows.tobytes() == other.arrays[name].tobytes(), name
    assert one.cameras.keys() - without == other.cameras.keys()
    for name, frames in other.cameras.items():
        assert_seen(one.cameras[name], frames)
    assert dict(one.provenance) == {name: about for name, about in other.provenance.items() if name != "imported"}


def assert_seen(one: Frames, other: Frames) -> None:
    """Equal pictures: depth to the bit, colours within the error of a video."""
    error = np.square(one.decode().astype(float) - other.decode()).mean()
    assert error == 0 if one.codec == "depth" else 10 * np.log10(255**2 / error) > 30
