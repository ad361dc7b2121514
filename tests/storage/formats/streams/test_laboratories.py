"""Layouts of laboratories and simulators: every reader gives the numbers, pictures, words and rate of its source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError, UnknownNameError
from storage.formats.detect import detect_format
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import ImportEpisodes, fates_of, list_items, read_episodes
from storage.formats.testing import tiny_robomimic
from storage.formats.testing.laboratories import (
    numbers,
    tiny_agibot,
    tiny_aloha,
    tiny_droid,
    tiny_isaac_lab,
    tiny_libero,
    tiny_maniskill,
    tiny_replay_zarr,
    tiny_rlds,
)
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.shards.reader import Shard
from storage.shards.writer import ShardWriter
from storage.testing import same_episode, tiny_images

MADE: dict[str, tuple[Callable[[Path], Path], str, dict[str, Any]]] = {
    "aloha": (lambda root: tiny_aloha(root / "source"), "aloha", {}),
    "isaac_lab": (lambda root: tiny_isaac_lab(root / "source/demo.hdf5"), "robomimic", {"rate_hz": 20.0}),
    "libero": (lambda root: tiny_libero(root / "source/demo.hdf5"), "robomimic", {}),
    "replay_zarr": (lambda root: tiny_replay_zarr(root / "buffer.zarr"), "replay_zarr", {"rate_hz": 10.0}),
    "maniskill": (lambda root: tiny_maniskill(root / "source/trajectory.h5"), "maniskill", {}),
    "agibot": (lambda root: tiny_agibot(root / "source"), "agibot", {}),
    "droid": (lambda root: tiny_droid(root / "source"), "droid", {}),
    "rlds": (lambda root: tiny_rlds(root / "source"), "rlds", {}),
}


def _import(path: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(path), codec="lossless", **settings)))


@pytest.mark.parametrize("name", MADE)
def test_every_layout_is_found_and_goes_into_a_shard(tmp_path: Path, name: str) -> None:
    make, expected, settings = MADE[name]
    path = make(tmp_path)
    assert detect_format(path) == expected
    config = ImportConfig(path=str(path), **settings)
    (unit,) = list_items(config)
    outcomes = ImportEpisodes(config)(unit, Randomness(0, "import_episodes"))
    episodes = [outcome.episode for (outcome,) in outcomes if isinstance(outcome, Kept)]
    assert len(episodes) == len(unit) > 0
    with ShardWriter(tmp_path / "unit.zarr", unit_id="unit") as writer:
        for episode in episodes:
            assert {"state", "action/ground_truth"} <= set(episode.arrays)
            assert episode.cameras
            writer.add(episode)
        writer.close()
    shard = Shard(tmp_path / "unit.zarr")
    assert all(same_episode(episode, shard.episode(place)) for place, episode in enumerate(episodes))


@pytest.mark.parametrize("name", MADE)
def test_every_stream_of_a_layout_stands_in_the_table(tmp_path: Path, name: str) -> None:
    make, _, settings = MADE[name]
    fates = fates_of(ImportConfig(path=str(make(tmp_path)), **settings))
    assert {"state", "action", "camera"} <= {fate.became for fate in fates}
    assert all(fate.detail for fate in fates if fate.became == "left out")


@pytest.mark.parametrize("compressed", [False, True])
def test_aloha_gives_positions_and_frames(tmp_path: Path, compressed: bool) -> None:
    first, second = _import(tiny_aloha(tmp_path / "set", compressed=compressed))
    assert (first.arrays["action/ground_truth"] == numbers(0, 6, 14).astype(np.float32)).all()
    assert (second.arrays["state"] == numbers(51, 6, 14).astype(np.float32)).all()
    assert first.rate_hz == 50.0
    difference = np.abs(first.cameras["cam_high"].decode().astype(int) - tiny_images(0, steps=6)).mean()
    assert difference < (4 if compressed else 0.5)


def test_isaac_lab_needs_a_rate_and_keeps_nested_states(tmp_path: Path) -> None:
    path = tiny_isaac_lab(tmp_path / "demo.hdf5")
    with pytest.raises(ConfigError, match=r"does not tell its rate.*--rate-hz"):
        _import(path)
    (episode, _) = _import(path, rate_hz=15.0)
    assert episode.rate_hz == 15.0
    assert episode.arrays["foreign/states.articulation.robot.joint_position"].shape == (6, 9)
    assert episode.arrays["state"].shape == (6, 18)


@pytest.mark.parametrize(("convention", "turned"), [("opengl", True), ("opencv", False)])
def test_libero_is_turned_over_when_the_file_says_so(tmp_path: Path, convention: str, turned: bool) -> None:
    (episode,) = _import(tiny_libero(tmp_path / "demo.hdf5", convention=convention))
    images = tiny_images(0, steps=6)
    assert (episode.cameras["agentview"].decode() == (images[:, ::-1] if turned else images)).all()
    assert (episode.arrays["state"][:, :6] == numbers(2, 6, 6).astype(np.float32)).all()
    assert episode.instruction == "open the drawer"


@pytest.mark.parametrize("layout", ["chw", "float", "whole numbers in floats", "transparent"])
def test_images_of_other_layouts_are_converted_where_that_is_certain(tmp_path: Path, layout: str) -> None:
    images = tiny_images(0, steps=6)
    stored = {
        "chw": np.moveaxis(images, 3, 1),
        "float": images.astype(np.float32) / 255,
        "whole numbers in floats": images.astype(np.float32),
        "transparent": np.concatenate([images, np.full((*images.shape[:3], 1), 255, np.uint8)], axis=3),
    }[layout]
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=1)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/agentview_image"]
        file["data/demo_0/obs/agentview_image"] = stored
    (episode,) = _import(path)
    assert (episode.cameras["agentview"].decode() == images).all()


def test_images_that_could_be_anything_are_left_out_with_the_reason(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=1)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/agentview_image"]
        file["data/demo_0/obs/agentview_image"] = numbers(0, 6, 32, 48, 3)
    (episode,) = _import(path)
    assert not episode.cameras
    fates = {fate.column: fate for fate in fates_of(ImportConfig(path=str(path)))}
    assert "neither 0..1 nor 0..255" in fates["obs/agentview_image"].detail


def test_names_that_collide_after_cleaning_are_kept_apart(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=1, cameras=("a b", "a_b"))
    (episode,) = _import(path)
    assert sorted(name[:3] for name in episode.cameras) == ["a_b", "a_b"]


def test_a_replay_buffer_is_cut_at_its_episode_ends(tmp_path: Path) -> None:
    path = tiny_replay_zarr(tmp_path / "buffer.zarr")
    first, second = _import(path, rate_hz=10.0)
    assert (first.length, second.length) == (6, 4)
    assert (second.arrays["action/ground_truth"] == numbers(0, 10, 2)[6:].astype(np.float32)).all()
    assert (second.cameras["camera0"].decode() == tiny_images(0, steps=10)[6:]).all()


def test_the_pose_of_umi_is_its_action(tmp_path: Path) -> None:
    (episode, _) = _import(tiny_replay_zarr(tmp_path / "buffer.zarr", umi=True), rate_hz=20.0)
    assert (episode.arrays["action/ground_truth"] == episode.arrays["state"]).all()
    assert episode.arrays["state"].shape == (6, 7)


def test_a_folder_of_maniskill_is_no_droid(tmp_path: Path) -> None:
    tiny_maniskill(tmp_path / "PickCube-v1/motionplanning/trajectory.h5")
    assert detect_format(tmp_path) == "maniskill"
    assert [episode.length for episode in _import(tmp_path)] == [6, 6]


def test_maniskill_leaves_out_the_observation_without_an_action(tmp_path: Path) -> None:
    (episode, _) = _import(tiny_maniskill(tmp_path / "trajectory.h5"))
    assert (episode.arrays["state"] == numbers(10, 7, 9)[:6].astype(np.float32)).all()
    assert (episode.cameras["base_camera"].decode() == tiny_images(0, steps=7)[:6]).all()


def test_agibot_gives_its_words_over_time_and_its_depth(tmp_path: Path) -> None:
    (episode,) = _import(tiny_agibot(tmp_path / "set"))
    assert episode.instruction == "Pickup items"
    runs = episode.provenance["imported"]["annotations"]["annotation.human.action.sub_task"]
    assert runs == [[0, "Reach"], [3, "Grasp"]]
    assert episode.cameras["head_depth"].decode().dtype == np.uint16
    assert np.allclose(episode.arrays["timestamp"], np.arange(6) / 30)


def test_droid_calls_its_cameras_by_their_place(tmp_path: Path) -> None:
    (episode,) = _import(tiny_droid(tmp_path / "set"))
    assert (list(episode.cameras), episode.rate_hz, episode.instruction) == (
        ["wrist"],
        15.0,
        "Move object into a container",
    )
    assert episode.arrays["action/ground_truth"].shape == (6, 8)


def test_rlds_is_read_without_tensorflow(tmp_path: Path) -> None:
    first, second = _import(tiny_rlds(tmp_path / "set"))
    assert (second.arrays["action/ground_truth"] == numbers(10, 4, 7).astype(np.float32)).all()
    assert (first.cameras["image_0"].decode() == tiny_images(0, steps=4)).all()
    assert (first.rate_hz, first.instruction) == (5.0, "put the spoon on the towel")
    assert first.provenance["imported"]["episode"] == {"episode_metadata/file_path": "/raw/0"}


def test_a_tfrecord_that_is_cut_loses_its_last_record_alone(tmp_path: Path) -> None:
    root = tiny_rlds(tmp_path / "set", episodes=3)
    (path,) = root.rglob("*.tfrecord-*")
    path.write_bytes(path.read_bytes()[:-30])
    config = ImportConfig(path=str(root))
    (unit,) = list_items(config)
    outcomes = [outcome for (outcome,) in ImportEpisodes(config)(unit, Randomness(0, "import_episodes"))]
    assert [type(outcome) for outcome in outcomes] == [Kept, Kept, Dropped]
    assert "is cut off" in outcomes[2].detail["message"]  # type: ignore[union-attr]


def test_cameras_of_different_length_cost_their_episode_alone(tmp_path: Path) -> None:
    root = tiny_aloha(tmp_path / "set")
    for number, steps in ((0, 6), (1, 4)):
        with h5py.File(root / f"episode_{number}.hdf5", "a") as file:
            file["observations/images/cam_low"] = tiny_images(9, steps=steps)
    config = ImportConfig(path=str(root))
    (unit,) = list_items(config)
    (good,), (bad,) = ImportEpisodes(config)(unit, Randomness(0, "import_episodes"))
    assert isinstance(good, Kept)
    assert sorted(good.episode.cameras) == ["cam_high", "cam_low"]
    assert isinstance(bad, Dropped)
    assert "6 steps and frames {'cam_high': 6, 'cam_low': 4}; they must agree" in bad.detail["message"]


def test_a_link_to_another_file_is_refused(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=1)
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/secret"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InputError, match="'secret' is a link to another file, which is not followed"):
        _import(path)


def test_a_damaged_file_says_so_once(tmp_path: Path) -> None:
    root = tiny_aloha(tmp_path / "set", episodes=1)
    path = root / "episode_0.hdf5"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CorruptFileError, match="is not a readable HDF5 file"):
        _import(root, format="aloha")


def test_a_mapping_of_unknown_columns_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean observations/qpos"):
        _import(tiny_aloha(tmp_path / "set"), map={"state": "observation/qpos"})
