"""Importing LeRobot: what maps to what, the quirks of data that people share, and clear words about bad data."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError, SchemaError, UnknownNameError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import list_items, read_episodes, read_item
from storage.formats.testing import read_parquet, tiny_lerobot, tiny_video, write_parquet
from storage.testing import tiny_images


def _import(root: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(root), **settings)))


def _rows(root: Path, number: int) -> Path:
    return root / f"data/chunk-000/episode_{number:06d}.parquet"


def _edit_info(root: Path, **changes: Any) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**info, **changes}))


def test_state_action_and_frames_arrive_as_they_were(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set")
    for number, episode in enumerate(_import(root, codec="high")):
        rows = read_parquet(_rows(root, number))
        assert episode.arrays["state"].tobytes() == rows["observation.state"].astype(np.float32).tobytes()
        assert episode.arrays["action/ground_truth"].tobytes() == rows["action"].astype(np.float32).tobytes()
        assert (episode.length, episode.rate_hz, episode.instruction) == (8, 20.0, "pick up the disc")
        difference = episode.cameras["ego"].decode().astype(float) - tiny_images(number * 7, steps=8)
        assert np.abs(difference).mean() < 4


def test_float32_stamps_that_count_frames_become_exact(tmp_path: Path) -> None:
    (episode, *_) = _import(tiny_lerobot(tmp_path / "set", rate=30))
    assert episode.arrays["timestamp"].tolist() == [step / 30 for step in range(8)]


def test_any_other_stamps_are_kept_as_recorded(tmp_path: Path) -> None:
    recorded = 0.05 + np.arange(8) * 0.0499999
    (episode, *_) = _import(tiny_lerobot(tmp_path / "set", columns={"timestamp": recorded}))
    assert episode.arrays["timestamp"].tolist() == recorded.tolist()


def test_double_precision_rows_are_rounded_once(tmp_path: Path) -> None:
    double = np.random.default_rng(0).normal(size=(8, 26))
    (episode, *_) = _import(tiny_lerobot(tmp_path / "set", columns={"action": double}))
    assert (episode.arrays["action/ground_truth"] == double.astype(np.float32)).all()


def test_gaps_in_the_numbers_of_episodes_do_no_harm(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(3, 7, 1007))
    (root / "data/chunk-001").mkdir()
    _rows(root, 1007).rename(root / "data/chunk-001/episode_001007.parquet")
    videos = root / "videos/chunk-001/observation.images.ego"
    videos.mkdir(parents=True)
    (root / "videos/chunk-000/observation.images.ego/episode_001007.mp4").rename(videos / "episode_001007.mp4")
    assert [episode.provenance["imported"]["episode_index"] for episode in _import(root)] == [3, 7, 1007]


def test_a_camera_that_has_no_files_does_not_exist(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set")
    features = json.loads((root / "meta/info.json").read_text())["features"]
    phantom = {"dtype": "video", "shape": [800, 1280, 3], "names": ["height", "width", "channel"]}
    _edit_info(
        root, features={"observation.images.phantom": phantom, **features}, total_chunks=0, splits={"train": "0:100"}
    )
    assert [list(episode.cameras) for episode in _import(root)] == [["ego"]] * 3
    with pytest.raises(UnknownNameError, match="unknown camera 'phantom'"):
        _import(root, cameras=("phantom",))


def test_modality_names_the_cameras(tmp_path: Path) -> None:
    modality = {"video": {"head": {"original_key": "observation.images.ego"}}}
    assert list(_import(tiny_lerobot(tmp_path / "set", modality=modality))[0].cameras) == ["head"]


def test_annotations_become_instruction_validity_and_provenance(tmp_path: Path) -> None:
    columns = {
        "annotation.human.action.task_description": 1,
        "annotation.human.validity": np.array([2, 2, 2, 2, 2, 2, 3, 3]),
        "annotation.human.phase": np.array([4, 4, 4, 5, 5, 5, 5, 5]),
    }
    tasks = ("move", "pick the pear", "valid", "invalid", "reach", "lift")
    (episode, *_) = _import(tiny_lerobot(tmp_path / "set", columns=columns, tasks=tasks))
    assert episode.instruction == "pick the pear"
    assert episode.arrays["valid"].tolist() == [True] * 6 + [False] * 2
    assert episode.provenance["imported"]["annotations"] == {"annotation.human.phase": [[0, "reach"], [3, "lift"]]}


def test_an_instruction_that_changes_is_kept_whole(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", columns={"task_index": np.array([0, 0, 0, 0, 1, 1, 1, 1])}, tasks=("a", "b"))
    (episode, *_) = _import(root)
    assert episode.instruction == "a"
    assert episode.provenance["imported"]["annotations"] == {"task_index": [[0, "a"], [4, "b"]]}


def test_steps_without_an_annotation_have_an_empty_one(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", columns={"annotation.human.phase": np.array([-1] * 4 + [0] * 4)})
    (episode, *_) = _import(root, instruction_column="task_index")
    assert episode.provenance["imported"]["annotations"] == {
        "annotation.human.phase": [[0, ""], [4, "pick up the disc"]]
    }


def test_labels_of_the_trainer_become_labels(tmp_path: Path) -> None:
    latent, dreamt = np.ones((8, 32), np.float32), np.zeros((8, 26), np.float32)
    columns = {"lapa_action": latent, "dream_actions": dreamt}
    (episode, *_) = _import(tiny_lerobot(tmp_path / "set", columns=columns))
    assert (episode.arrays["action/latent"] == latent).all()
    assert (episode.arrays["action/predicted"] == dreamt).all()


def test_unknown_numbers_are_kept_and_unknown_texts_are_named(tmp_path: Path) -> None:
    columns = {"next.reward": np.arange(8.0), "observation.effort": np.ones((8, 3)), "note": np.array(["x"] * 8)}
    (episode, *_) = _import(tiny_lerobot(tmp_path / "set", columns=columns))
    assert episode.arrays["foreign/next.reward"].tolist() == [[step] for step in range(8)]
    assert episode.arrays["foreign/observation.effort"].shape == (8, 3)
    assert episode.provenance["imported"]["left_out"] == ["note"]


def test_modality_may_gather_a_vector_from_several_columns(tmp_path: Path) -> None:
    modality = {
        "state": {
            "arm": {"start": 0, "end": 2, "original_key": "observation.state"},
            "hand": {"start": 1, "end": 3, "original_key": "observation.hand"},
        },
        "action": {"arm": {"start": 0, "end": 26}},
    }
    hand = np.arange(24, dtype=np.float32).reshape(8, 3)
    root = tiny_lerobot(tmp_path / "set", modality=modality, columns={"observation.hand": hand}, robot_type="odd one")
    (episode, *_) = _import(root)
    rows = read_parquet(_rows(root, 0))
    assert (episode.arrays["state"] == np.hstack([rows["observation.state"][:, :2], hand[:, 1:]])).all()
    assert episode.embodiment.startswith("odd_one_4x26_")


def test_images_in_columns_are_cameras_too(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=())
    images = tiny_images(steps=8)
    cells = [{"bytes": cv2.imencode(".png", image[..., ::-1])[1].tobytes(), "path": None} for image in images]
    table = pyarrow.parquet.read_table(_rows(root, 0)).append_column("observation.images.top", pyarrow.array(cells))
    pyarrow.parquet.write_table(table, _rows(root, 0))
    features = json.loads((root / "meta/info.json").read_text())["features"]
    _edit_info(root, features={**features, "observation.images.top": {"dtype": "image", "shape": [32, 48, 3]}})
    (episode,) = _import(root, codec="lossless")
    assert (episode.cameras["top"].decode() == images).all()


def test_a_part_of_the_data_can_be_taken(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", cameras=("ego", "wrist"))
    (episode,) = _import(root, episodes=(1,), cameras=("wrist",), size_px=(16, 16))
    assert (list(episode.cameras), episode.cameras["wrist"].height_px) == (["wrist"], 16)
    assert len(_import(root, limit=2)) == 2
    with pytest.raises(ConfigError, match=r"has no episodes \[9\]; it has 3 episodes, numbered 0 to 2"):
        _import(root, episodes=(9,))


def test_ids_follow_from_content_and_not_from_place_or_choice(tmp_path: Path) -> None:
    here, there = tiny_lerobot(tmp_path / "a"), tiny_lerobot(tmp_path / "b" / "c")
    ids = [episode.episode_id for episode in _import(here)]
    assert ids == [episode.episode_id for episode in _import(there, size_px=(16, 16), cameras=("ego",))]
    assert len(set(ids)) == 3
    tiny_video(there / "videos/chunk-000/observation.images.ego/episode_000001.mp4", tiny_images(99, steps=8))
    assert [one == other.episode_id for one, other in zip(ids, _import(there), strict=True)] == [True, False, True]


# What can be wrong, one thing at a time: (how to break episode 1, the error, what it says).
BROKEN = {
    "missing video": (lambda root: _video(root).unlink(), MissingFileError, r"episode_000001\.mp4 is not there"),
    "truncated video": (
        lambda root: _video(root).write_bytes(_video(root).read_bytes()[:700]),
        CorruptFileError,
        r"episode_000001\.mp4 does not open as a video",
    ),
    "unknown codec": (
        lambda root: _video(root).write_bytes(_video(root).read_bytes().replace(b"avc1", b"zzz9")),
        CorruptFileError,
        r"convert it to H\.264 or AV1",
    ),
    "video too short": (
        lambda root: tiny_video(_video(root), tiny_images(steps=6)),
        SchemaError,
        r"has 8 rows, 6 frames of 'ego'; they must agree",
    ),
    "video of another size": (
        lambda root: tiny_video(_video(root), tiny_images(steps=8, height_px=64, width_px=64)),
        SchemaError,
        r"is 64x64 px, elsewhere in its data set 48x32 px; give size_px",
    ),
    "missing rows": (lambda root: _rows(root, 1).unlink(), MissingFileError, r"episode_000001\.parquet is not there"),
    "truncated rows": (
        lambda root: _rows(root, 1).write_bytes(_rows(root, 1).read_bytes()[:-20]),
        CorruptFileError,
        "is not a readable parquet file",
    ),
    "NaN in actions": (
        lambda root: _rewrite(root, action=np.where(np.eye(8, 26) > 0, np.nan, 0)),
        SchemaError,
        "action/ground_truth holds NaN or infinity, first at step 0; mend or drop the episode",
    ),
    "wrong dimension": (
        lambda root: _rewrite(root, action=np.zeros((8, 25))),
        SchemaError,
        r"action has 25 numbers a row; its data set promises action\[0:26\]",
    ),
    "missing column": (
        lambda root: _rewrite(root, action=None),
        SchemaError,
        "has other columns than the rest.*action",
    ),
    "unknown task": (lambda root: _rewrite(root, task_index=np.full(8, 9)), SchemaError, "points at task 9"),
}


def _video(root: Path) -> Path:
    return root / "videos/chunk-000/observation.images.ego/episode_000001.mp4"


def _rewrite(root: Path, **columns: Any) -> None:
    rows = {**read_parquet(_rows(root, 1)), **columns}
    write_parquet({name: values for name, values in rows.items() if values is not None}, _rows(root, 1))


@pytest.mark.parametrize("what", BROKEN)
def test_one_bad_episode_is_told_apart_from_the_good_ones(tmp_path: Path, what: str) -> None:
    breaks, kind, text = BROKEN[what]
    root = tiny_lerobot(tmp_path / "set")
    breaks(root)
    config = ImportConfig(path=str(root))
    first, bad, last = (item for unit in list_items(config) for item in unit)
    assert read_item(first, config).length == read_item(last, config).length == 8
    with pytest.raises(kind, match=text):
        read_item(bad, config)


def test_rows_of_different_length_are_refused(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(1,))
    table = pyarrow.parquet.read_table(_rows(root, 1))
    ragged = pyarrow.array([[0.0] * (26 if row else 25) for row in range(8)])
    table = table.set_column(table.column_names.index("action"), "action", ragged)
    pyarrow.parquet.write_table(table, _rows(root, 1))
    with pytest.raises(SchemaError, match="the lists of column 'action' differ in length"):
        _import(root)


def test_a_small_difference_in_length_can_be_cut(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(1,))
    tiny_video(_video(root), tiny_images(steps=7))
    (episode,) = _import(root, length_tolerance_frames=1)
    assert (episode.length, len(episode.arrays["state"]), len(episode.cameras["ego"])) == (7, 7, 7)


def test_one_size_can_be_given_to_mixed_sizes(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set")
    tiny_video(_video(root), tiny_images(steps=8, height_px=64, width_px=64))
    assert {episode.cameras["ego"].height_px for episode in _import(root, size_px=(24, 24))} == {24}


def test_a_file_that_changed_since_the_plan_is_not_imported(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set")
    config = ImportConfig(path=str(root))
    (_, item, _) = (item for unit in list_items(config) for item in unit)
    _rewrite(root, action=np.ones((8, 26), np.float32))
    with pytest.raises(InputError, match="has changed since the import was planned; plan it again"):
        read_item(item, config)


def test_another_version_of_the_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set")
    _edit_info(root, codebase_version="v4.0")
    with pytest.raises(ConfigError, match=r"is LeRobot v4\.0; this reads v2\.0, v2\.1 and v3\.0"):
        _import(root)


@pytest.mark.parametrize("name", ["meta/tasks.jsonl", "meta/episodes.jsonl"])
def test_missing_and_broken_metadata_are_named(tmp_path: Path, name: str) -> None:
    root = tiny_lerobot(tmp_path / "set")
    (root / name).write_text("{broken\n")
    with pytest.raises(CorruptFileError, match=rf"{name}, line 1"):
        _import(root)
    (root / name).unlink()
    with pytest.raises(MissingFileError, match=rf"{name} is not there"):
        _import(root)


def test_a_pipe_in_the_place_of_rows_is_not_waited_for(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0, 1), sizes=(6, 6))
    rows = root / "data/chunk-000/episode_000001.parquet"
    rows.unlink()
    os.mkfifo(rows)
    with pytest.raises(MissingFileError, match="episode_000001"):
        list(read_episodes(ImportConfig(path=str(root))))


def test_a_data_set_that_lost_its_info_is_no_folder_of_videos(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), sizes=(6, 6))
    (root / "meta/info.json").unlink()
    with pytest.raises(MissingFileError, match=r"without a readable meta/info\.json"):
        list_items(ImportConfig(path=str(root)))
