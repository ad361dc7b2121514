"""robomimic HDF5: what maps to what, and import, export, import giving the same episodes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError, SchemaError, UnknownNameError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import list_items, read_episodes, read_item
from storage.formats.robomimic.exporter import RobomimicExport, export_robomimic
from storage.formats.robomimic.importer import read_demo
from storage.formats.robomimic.robosuite_state import quaternion_xyzw, rotation_6d
from storage.formats.testing import TINY_ENV_ARGS, tiny_robomimic
from storage.testing import tiny_episode, tiny_images


def _import(path: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(path), **settings)))


def assert_same(one: Episode, other: Episode, *, psnr: float = 30.0) -> None:
    """Equal in every number and word; frames within the codec's error."""
    for name in ("episode_id", "parent_id", "layer", "embodiment", "length", "rate_hz", "instruction", "verdicts"):
        assert getattr(one, name) == getattr(other, name), name
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype, name
        assert array.tobytes() == other.arrays[name].tobytes(), name
    assert set(one.cameras) == set(other.cameras)
    for name, frames in one.cameras.items():
        error = np.square(frames.decode().astype(float) - other.cameras[name].decode()).mean()
        assert error == 0 or 10 * np.log10(255**2 / error) > psnr


def test_actions_states_images_and_observations_arrive(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5")
    first, *_ = _import(path, codec="lossless")
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        assert (first.arrays["action/ground_truth"] == demo["actions"][:].astype(np.float32)).all()
        assert (first.arrays["simulation/state"] == demo["states"][:]).all()
        assert (first.arrays["foreign/obs.object"] == demo["obs/object"][:]).all()
        pose = demo["datagen_info/eef_pose"][:].reshape(6, 16)
        assert (first.arrays["foreign/datagen_info.eef_pose"] == pose).all()
    assert (first.cameras["agentview"].decode() == tiny_images(0, steps=6)).all()
    assert (first.layer, first.embodiment, first.rate_hz, first.length) == ("simulation", "panda", 20.0, 6)
    assert first.provenance["env_args"] == TINY_ENV_ARGS
    assert first.provenance["imported"]["masks"] == ["train"]


def test_the_state_of_a_panda_is_put_together_from_its_observations(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5")
    state = _import(path)[0].arrays["state"]
    with h5py.File(path) as file:
        obs = file["data/demo_0/obs"]
        parts = [
            obs["robot0_eef_pos"][:],
            rotation_6d(obs["robot0_eef_quat_site"][:]),
            obs["robot0_gripper_qpos"][:],
            obs["robot0_joint_pos"][:],
        ]
    assert (state == np.hstack(parts).astype(np.float32)).all()


def test_a_file_without_images_gives_states_to_be_rendered_later(tmp_path: Path) -> None:
    (episode, *_) = _import(tiny_robomimic(tmp_path / "demo.hdf5", cameras=()))
    assert not episode.cameras
    assert episode.arrays["simulation/state"].dtype == np.float64


def test_import_export_import_gives_the_same_episodes(tmp_path: Path) -> None:
    first = _import(tiny_robomimic(tmp_path / "demo.hdf5", cameras=("agentview", "wrist")))
    export_robomimic(first, tmp_path / "out.hdf5")
    for one, other in zip(first, _import(tmp_path / "out.hdf5"), strict=True):
        assert_same(one, other)
        assert other.provenance["imported"]["masks"] == one.provenance["imported"]["masks"]
        assert other.provenance["imported"]["model_file"] == one.provenance["imported"]["model_file"]
        assert other.provenance["env_args"] == TINY_ENV_ARGS


def test_the_exported_file_has_what_the_imported_one_had(tmp_path: Path) -> None:
    source = tiny_robomimic(tmp_path / "demo.hdf5")
    export_robomimic(_import(source, codec="lossless"), tmp_path / "out.hdf5")
    with h5py.File(source) as before, h5py.File(tmp_path / "out.hdf5") as after:
        assert json.loads(after["data"].attrs["env_args"]) == TINY_ENV_ARGS
        assert (after["data"].attrs["total"], after["data/demo_1"].attrs["num_samples"]) == (18, 6)
        assert [name.decode() for name in after["mask/train"][:]] == ["demo_0", "demo_1"]
        for key, data in _datasets(before["data/demo_1"]).items():
            again = after["data/demo_1"][key]
            assert (again.shape, again.dtype) == (data.shape, data.dtype)
            exact = data[:].astype(np.float32) if key == "actions" else data[:]
            assert (again[:] == exact).all(), key
        assert "robosuite/models/assets/a.stl" in after["data/demo_1"].attrs["model_file"]


def _datasets(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    group.visititems(lambda key, data: found.update({key: data}) if isinstance(data, h5py.Dataset) else None)
    return found


def test_everything_that_an_episode_can_hold_survives(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "timestamp": np.sort(random.uniform(0, 1, 12)),
        "valid": np.arange(12) % 5 > 0,
        "simulation/state": random.normal(size=(12, 33)),
        "action/latent": random.normal(size=(12, 16)).astype(np.float32),
        "label/codes": random.integers(0, 8, (12, 4)).astype(np.int32),
        "foreign/next.reward": random.normal(size=(12, 1)),
    }
    about: dict[str, Any] = {"verdicts": ({"judge": "rules", "score": 0.5},), "parent_id": "mother"}
    episode = tiny_episode(1, arrays=arrays, embodiment="gr1", layer="real", rate_hz=30000 / 1001, **about)
    export_robomimic([episode], tmp_path / "out.hdf5")
    (again,) = _import(tmp_path / "out.hdf5")
    assert_same(episode, again)
    assert again.provenance["source"] == episode.provenance["source"]


def test_robomimic_finds_the_keys_that_its_loaders_insist_on(tmp_path: Path) -> None:
    export_robomimic([tiny_episode(1)], tmp_path / "out.hdf5")
    with h5py.File(tmp_path / "out.hdf5") as file:
        demo = file["data/demo_0"]
        assert demo["actions"].dtype == np.float64
        assert demo["rewards"].shape == demo["dones"].shape == (12,)
        assert demo["dones"][:].tolist() == [0] * 11 + [1]
        assert demo["obs/front_image"].shape == (12, 32, 48, 3)
        assert {"robot0_eef_pos", "robot0_eef_quat_site", "robot0_gripper_qpos", "robot0_joint_pos"} <= set(demo["obs"])
        assert json.loads(file["data"].attrs["env_args"])["env_kwargs"]["control_freq"] == 20


def test_compression_changes_no_pixel(tmp_path: Path) -> None:
    episode = tiny_episode(1)
    export_robomimic([episode], tmp_path / "out.hdf5", RobomimicExport(compression="gzip"))
    (again,) = _import(tmp_path / "out.hdf5", codec="lossless")
    assert (again.cameras["front"].decode() == episode.cameras["front"].decode()).all()


def test_several_kinds_become_several_files(tmp_path: Path) -> None:
    mixed = [tiny_episode(0), tiny_episode(1, embodiment="gr1"), tiny_episode(2)]
    report = export_robomimic(mixed, tmp_path / "out.hdf5")
    assert [str(path.relative_to(tmp_path)) for path in report.paths] == [
        "out/panda-20hz-front.hdf5",
        "out/gr1-20hz-front.hdf5",
    ]
    again = {episode.episode_id: episode for episode in _import(tmp_path / "out")}
    for episode in mixed:
        assert_same(episode, again[episode.episode_id])


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no ground-truth actions, which robomimic needs"):
        export_robomimic([tiny_episode(0), tiny_episode(1, embodiment="human", layer="human")], tmp_path / "out.hdf5")
    assert list(tmp_path.iterdir()) == []


def test_predicted_actions_may_stand_in_and_are_not_mistaken_for_true_ones(tmp_path: Path) -> None:
    episode = tiny_episode(1, layer="neural")
    predicted = {"action/predicted": episode.arrays["action/ground_truth"]}
    episode = Episode(**{**episode.__dict__, "arrays": predicted})
    export_robomimic([episode], tmp_path / "out.hdf5", RobomimicExport(predicted_as_action=True))
    assert_same(episode, *_import(tmp_path / "out.hdf5"))


def test_a_mask_and_numbers_choose_demonstrations(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=12)
    assert len(_import(path, mask="train")) == 11
    (tenth,) = _import(path, episodes=(10,))
    assert tenth.provenance["imported"]["demo"] == "demo_10"
    with pytest.raises(UnknownNameError, match="unknown mask 'trian'; did you mean train"):
        _import(path, mask="trian")
    with pytest.raises(UnknownNameError, match="unknown demonstration 'demo_99'"):
        read_demo(path, "demo_99")


def test_images_can_be_turned_upright(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=2)
    (episode, *_) = _import(path, flip_images=True, codec="lossless")
    assert (episode.cameras["agentview"].decode() == tiny_images(0, steps=6)[:, ::-1]).all()


def test_the_instruction_is_found_where_others_put_it(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5")
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["ep_meta"] = json.dumps({"lang": "open the door"})
        file["data"].attrs["problem_info"] = json.dumps({"language_instruction": "close the door"})
    texts = [episode.instruction for episode in _import(path, instruction="do something")]
    assert texts == ["open the door", "close the door", "close the door"]


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"robots": "Panda"}, "panda"),
        (
            {"robots": ["Panda"], "controller_configs": {"type": "OSC_POSE", "control_delta": False}},
            "panda_absolute_12x7",
        ),
        (
            {
                "robots": ["Panda"],
                "controller_configs": {"type": "BASIC", "body_parts": {"arms": {"right": {"input_type": "absolute"}}}},
            },
            "panda_absolute_12x7",
        ),
        ({"robots": ["Sawyer"]}, "sawyer_12x7"),
        ({}, "robomimic_12x7"),
    ],
)
def test_robots_and_controllers_decide_the_embodiment(tmp_path: Path, kwargs: dict[str, Any], name: str) -> None:
    env_args = {"env_name": "Stack", "type": 1, "env_kwargs": kwargs}
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=2, env_args=env_args)
    assert re.fullmatch(rf"{name}(_[0-9a-f]{{6}})?", _import(path)[0].embodiment)


def test_an_embodiment_with_other_actions_is_refused(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5")
    with pytest.raises(SchemaError, match="its actions have 7 numbers, those of embodiment 'gr1' have 44"):
        _import(path, embodiment="gr1")


def test_a_file_that_does_not_tell_its_rate_needs_one(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", env_args={"env_name": "real"})
    with pytest.raises(ConfigError, match=r"does not tell its rate.*give --rate-hz"):
        _import(path)
    assert _import(path, rate_hz=15)[0].rate_hz == 15.0


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    with h5py.File(path, "a") as file:
        change(file["data/demo_1"])


def _put(key: str, values: Any) -> Callable[[Any], None]:
    def change(demo: Any) -> None:
        del demo[key]
        demo[key] = values

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_put("actions", np.full((6, 7), np.nan)), "action/ground_truth holds NaN or infinity, first at step 0"),
        (_put("states", np.zeros((5, 21))), r"simulation/state must have shape \(F, S\) with F = 6"),
        (_put("obs/agentview_image", np.zeros((5, 32, 48, 3), np.uint8)), "has 5 images for 6 actions"),
    ],
)
def test_one_bad_demonstration_is_told_apart(tmp_path: Path, change: Callable[[Any], None], text: str) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5")
    _edit(path, change)
    config = ImportConfig(path=str(path))
    items = {item["details"]["demo"]: item for unit in list_items(config) for item in unit}
    assert read_item(items["demo_0"], config).length == 6
    with pytest.raises(SchemaError, match=text):
        read_item(items["demo_1"], config)


def test_a_demonstration_without_actions_costs_itself_alone(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "demo.hdf5", demos=2)
    _edit(path, lambda demo: demo.pop("actions"))
    config = ImportConfig(path=str(path))
    ((good, bad),) = list_items(config)
    assert read_item(good, config).length == 6
    with pytest.raises(SchemaError, match=r"demo_1: expected actions of shape \(steps, numbers\); got none"):
        read_item(bad, config)


def test_missing_truncated_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.hdf5 is not there"):
        read_demo(tmp_path / "none.hdf5", "demo_0")
    path = tiny_robomimic(tmp_path / "demo.hdf5")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CorruptFileError, match="is not a readable HDF5 file"):
        _import(path)
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["x"] = 1
    with pytest.raises(SchemaError, match="has no demonstrations; expected groups data/demo_0"):
        _import(tmp_path / "other.hdf5")


def test_one_damaged_file_of_a_folder_leaves_the_others(tmp_path: Path) -> None:
    tiny_robomimic(tmp_path / "a.hdf5")
    bad = tiny_robomimic(tmp_path / "b.hdf5")
    bad.write_bytes(bad.read_bytes()[:3000])
    config = ImportConfig(path=str(tmp_path))
    items = [item for unit in list_items(config) for item in unit]
    assert len(items) == 4
    with pytest.raises(InputError, match=r"b\.hdf5 is not a readable HDF5 file"):
        read_item(next(item for item in items if item["name"] == "b.hdf5"), config)


def test_rotations_and_quaternions_are_inverse() -> None:
    from scipy.spatial.transform import Rotation

    turns = Rotation.random(200, random_state=0)
    columns = rotation_6d(turns.as_quat())
    np.testing.assert_allclose(columns, turns.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(-1, 6), atol=1e-12)
    back = quaternion_xyzw(columns)
    np.testing.assert_allclose(back, turns.as_quat() * np.sign(turns.as_quat()[:, 3:]), atol=1e-12)
