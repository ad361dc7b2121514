"""Exporting LeRobot: import gives the same episodes back, and the files are what the trainers read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.episode import Episode
from storage.errors import AlreadyWrittenError, ConfigError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.formats.lerobot.statistics import image_statistics
from storage.formats.testing import read_parquet, tiny_lerobot, write_parquet
from storage.formats.video.reader import frames_of, probe
from storage.frames import Frames
from storage.testing import tiny_episode, tiny_images


def _import(root: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(root), **settings)))


def assert_same(one: Episode, other: Episode, *, psnr: float = 30.0) -> None:
    """Equal in every number and word; frames within the codec's error."""
    for name in ("episode_id", "parent_id", "layer", "embodiment", "length", "rate_hz", "instruction", "verdicts"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.original_instruction == other.original_instruction
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype, name
        assert array.tobytes() == other.arrays[name].tobytes(), name
    assert set(one.cameras) == set(other.cameras)
    for name, frames in one.cameras.items():
        error = np.square(frames.decode().astype(float) - other.cameras[name].decode()).mean()
        assert 10 * np.log10(255**2 / error) > psnr
    kept = {key: value for key, value in one.provenance.items() if key != "imported"}
    assert kept == {key: value for key, value in other.provenance.items() if key != "imported"}


@pytest.mark.parametrize("rate", [20, 30, 30000 / 1001])
def test_import_export_import_gives_the_same_episodes(tmp_path: Path, rate: float) -> None:
    columns = {"next.reward": np.arange(8.0), "observation.effort": np.random.default_rng(0).normal(size=(8, 3))}
    source = tiny_lerobot(tmp_path / "source", rate=rate, columns=columns, cameras=("ego", "wrist"))
    first = _import(source)
    export_lerobot(first, tmp_path / "out")
    for one, other in zip(first, _import(tmp_path / "out"), strict=True):
        assert_same(one, other)


def test_everything_that_an_episode_can_hold_survives(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "timestamp": np.sort(random.uniform(0, 1, 12)),
        "valid": np.arange(12) % 5 > 0,
        "source_frame": np.arange(12) * 3,
        "simulation/state": random.normal(size=(12, 33)),
        "action/predicted": random.normal(size=(12, 7)).astype(np.float32),
        "action/latent": random.normal(size=(12, 16)).astype(np.float32),
        "label/valid/latent": np.arange(12) < 10,
        "label/confidence/predicted": random.uniform(size=(12, 2)).astype(np.float32),
        "label/codes": random.integers(0, 8, (12, 4)).astype(np.int32),
        "label/flags/predicted": np.arange(12).astype(np.uint16),
        "foreign/next.reward": random.normal(size=(12, 1)),
        "foreign/timestamp": random.normal(size=(12, 1)),
    }
    about: dict[str, Any] = {"verdicts": ({"judge": "rules", "score": 0.5},), "parent_id": "mother"}
    episode = tiny_episode(1, arrays=arrays, layer="neural", provenance={"made": {"by": "test"}}, **about)
    episode = Episode(**{**episode.__dict__, "original_instruction": "as it was"})
    export_lerobot([episode], tmp_path / "out")
    assert_same(episode, *_import(tmp_path / "out"))


def test_a_person_without_state_and_actions_is_exported_too(tmp_path: Path) -> None:
    episode = tiny_episode(1, embodiment="human", layer="human")
    export_lerobot([episode], tmp_path / "out")
    assert_same(episode, *_import(tmp_path / "out"))


def test_the_metadata_is_complete_and_true(tmp_path: Path) -> None:
    episodes = [
        tiny_episode(seed, length=10 + seed, embodiment="gr1", instruction=f"task {seed % 2}") for seed in range(3)
    ]
    (root,) = export_lerobot(episodes, tmp_path / "out").paths
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["splits"]) == ("v2.1", 20, {"train": "0:3"})
    totals = {name: info[f"total_{name}"] for name in ("episodes", "frames", "tasks", "videos", "chunks")}
    assert totals == {"episodes": 3, "frames": 33, "tasks": 2, "videos": 3, "chunks": 1}
    lines = {name: _lines(root / "meta" / name) for name in ("episodes.jsonl", "tasks.jsonl", "episodes_stats.jsonl")}
    assert lines["tasks.jsonl"] == [{"task_index": 0, "task": "task 0"}, {"task_index": 1, "task": "task 1"}]
    assert [(row["length"], row["tasks"]) for row in lines["episodes.jsonl"]] == [
        (10, ["task 0"]),
        (11, ["task 1"]),
        (12, ["task 0"]),
    ]
    assert [row["stats"]["action"]["count"] for row in lines["episodes_stats.jsonl"]] == [[10], [11], [12]]
    video = lines["episodes_stats.jsonl"][0]["stats"]["observation.images.front"]
    assert np.shape(video["mean"]) == (3, 1, 1)
    assert 0 <= np.min(video["min"]) <= np.max(video["max"]) <= 1


def test_image_statistics_are_those_of_the_pixels() -> None:
    frames = tiny_episode(1).cameras["front"]
    told = image_statistics(frames)
    pixels = frames.decode().reshape(-1, 3) / 255
    for key, values in {
        "min": pixels.min(0),
        "max": pixels.max(0),
        "mean": pixels.mean(0),
        "std": pixels.std(0),
    }.items():
        np.testing.assert_allclose(np.ravel(told[key]), values, rtol=1e-9)
    assert told["count"] == [12]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_trainer_finds_rows_videos_and_slices_where_it_looks(tmp_path: Path) -> None:
    """The way that the GR00T loaders go: info and modality, then parquet by pattern, then videos by frame index."""
    episodes = [tiny_episode(seed, embodiment="gr1", cameras=("ego_view",)) for seed in range(2)]
    (root,) = export_lerobot(episodes, tmp_path / "out").paths
    info, modality = (json.loads((root / f"meta/{name}.json").read_text()) for name in ("info", "modality"))
    stats = json.loads((root / "meta/stats.json").read_text())
    row = json.loads((root / "meta/episodes.jsonl").read_text().splitlines()[1])
    place = {"episode_chunk": row["episode_index"] // info["chunks_size"], "episode_index": row["episode_index"]}
    rows = read_parquet(root / info["data_path"].format(**place))
    for name, vector in (("state", "state"), ("action", "action/ground_truth")):
        span = modality[name]["right_arm"]
        part = rows[span["original_key"]][:, span["start"] : span["end"]]
        assert (part == episodes[1].arrays[vector][:, 22:29]).all()
        assert len(stats[span["original_key"]]["q99"]) == 44
    key = modality["video"]["ego_view"]["original_key"]
    feature = info["features"][key]
    assert feature["shape"][feature["names"].index("height")] == 32
    assert feature["video_info"]["video.fps"] == feature["info"]["video.fps"] == 20
    assert len(list(frames_of(root / info["video_path"].format(video_key=key, **place)))) == row["length"]
    texts = {line["task_index"]: line["task"] for line in _lines(root / "meta/tasks.jsonl")}
    (annotation,) = modality["annotation"]
    assert {texts[index] for index in rows[f"annotation.{annotation}"]} == {"put the disc on the table"}
    assert (rows["timestamp"] == (np.arange(12) / 20).astype(np.float32)).all()
    assert rows["index"].tolist() == list(range(12, 24))
    assert rows["next.done"].tolist() == [False] * 11 + [True]


def test_statistics_are_those_of_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A small budget: columns are read back in several lots, some of them cut in two.
    monkeypatch.setattr("storage.formats.lerobot.statistics._VALUES_AT_ONCE", 150)
    episodes = [tiny_episode(seed, length=8 + seed) for seed in range(3)]
    (root,) = export_lerobot(episodes, tmp_path / "out").paths
    stats = json.loads((root / "meta/stats.json").read_text())
    for column, name in (("observation.state", "state"), ("action", "action/ground_truth")):
        rows = np.concatenate([episode.arrays[name] for episode in episodes])
        expected = {
            "mean": rows.mean(axis=0),
            "std": rows.std(axis=0),
            "min": rows.min(axis=0),
            "max": rows.max(axis=0),
            "q01": np.quantile(rows, 0.01, axis=0),
            "q99": np.quantile(rows, 0.99, axis=0),
        }
        assert set(stats[column]) == set(expected)
        for key, values in expected.items():
            np.testing.assert_allclose(stats[column][key], values, rtol=1e-5, atol=1e-6)


def test_numbers_that_are_missing_leave_the_statistics_readable(tmp_path: Path) -> None:
    force = np.ones((12, 2))
    force[3] = np.nan
    episode = tiny_episode(1, arrays={"foreign/force": force, "foreign/nothing": np.full((12, 1), np.nan)})
    (root,) = export_lerobot([episode], tmp_path / "out").paths

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    for name in ("stats.json", "episodes_stats.jsonl"):
        for line in (
            (root / "meta" / name).read_text().splitlines()
            if name.endswith("l")
            else [(root / "meta" / name).read_text()]
        ):
            json.loads(line, parse_constant=refuse)
    assert_same(episode, *_import(root))


def test_labels_are_written_under_the_names_that_the_trainer_uses(tmp_path: Path) -> None:
    latent, predicted = np.ones((12, 16), np.float32), np.full((12, 44), 0.5, np.float32)
    episode = tiny_episode(1, embodiment="gr1", arrays={"action/latent": latent, "action/predicted": predicted})
    (root,) = export_lerobot([episode], tmp_path / "out").paths
    rows = read_parquet(root / "data/chunk-000/episode_000000.parquet")
    assert (rows["lapa_action"] == latent).all()
    assert (rows["dream_actions"] == predicted).all()
    assert (rows["action"] == episode.arrays["action/ground_truth"]).all()


def _dreamt() -> Episode:
    episode = tiny_episode(1, embodiment="gr1", layer="neural")
    predicted = episode.arrays["action/ground_truth"]
    return Episode(**{**episode.__dict__, "arrays": {"action/predicted": predicted}})


def test_predicted_actions_stand_in_for_missing_ones_and_are_not_mistaken_for_them(tmp_path: Path) -> None:
    (root,) = export_lerobot([_dreamt()], tmp_path / "out").paths
    rows = read_parquet(root / "data/chunk-000/episode_000000.parquet")
    assert (rows["action"] == rows["dream_actions"]).all()
    assert_same(_dreamt(), *_import(tmp_path / "out"))


def test_predicted_actions_can_be_left_to_themselves(tmp_path: Path) -> None:
    config = LeRobotExport(predicted_as_action=False)
    (root,) = export_lerobot([_dreamt()], tmp_path / "out", config).paths
    assert "action" not in read_parquet(root / "data/chunk-000/episode_000000.parquet")
    assert json.loads((root / "meta/modality.json").read_text())["action"] == {}
    assert_same(_dreamt(), *_import(tmp_path / "out"))


def test_a_mixed_set_becomes_one_data_set_for_each_kind(tmp_path: Path) -> None:
    mixed = [
        tiny_episode(0),
        tiny_episode(1, embodiment="gr1", layer="real"),
        tiny_episode(2),
        tiny_episode(3, rate_hz=10.0),
        tiny_episode(4, size_px=(64, 64)),
    ]
    report = export_lerobot(mixed, tmp_path / "out")
    assert [path.name for path in report.paths] == [
        "panda-20hz-front",
        "gr1-20hz-front",
        "panda-10hz-front",
        "panda-20hz-front-2",
    ]
    again = {episode.episode_id: episode for path in report.paths for episode in _import(path)}
    for episode in mixed:
        assert_same(episode, again[episode.episode_id])


def test_annotations_of_the_source_are_written_again(tmp_path: Path) -> None:
    columns = {
        "annotation.human.action.task_description": np.array([1, 1, 1, 1, 2, 2, 2, 2]),
        "annotation.human.phase": np.array([3, 3, 3, 4, 4, 4, 4, 4]),
    }
    tasks = ("move", "pick", "place", "reach", "lift")
    first = _import(tiny_lerobot(tmp_path / "source", columns=columns, tasks=tasks))
    export_lerobot(first, tmp_path / "out")
    again = _import(tmp_path / "out")
    for one, other in zip(first, again, strict=True):
        assert one.provenance["imported"]["annotations"] == other.provenance["imported"]["annotations"]


def test_rows_that_were_edited_afterwards_are_another_episode(tmp_path: Path) -> None:
    episode = tiny_episode(1)
    (root,) = export_lerobot([episode], tmp_path / "out").paths
    path = root / "data/chunk-000/episode_000000.parquet"
    rows = read_parquet(path)
    write_parquet({**rows, "action": rows["action"] * 2}, path)
    (edited,) = _import(root)
    assert edited.episode_id != episode.episode_id
    assert edited.parent_id == episode.episode_id


def test_nothing_is_there_before_everything_is(tmp_path: Path) -> None:
    def breaks_down() -> Iterator[Episode]:
        yield tiny_episode(0)
        assert not (tmp_path / "out").exists()
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        export_lerobot(breaks_down(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(AlreadyWrittenError, match="is there already; remove it or export to another path"):
        export_lerobot([tiny_episode(0)], tmp_path / "out")
    assert (tmp_path / "out/mine.txt").read_text() == "mine"


def test_an_export_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no episodes"):
        export_lerobot([], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_after_each_episode(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    episodes = [tiny_episode(seed, length=10) for seed in range(3)]
    export_lerobot(episodes, tmp_path / "out", progress=lambda done, steps: told.append((done, steps)))
    assert told == [(1, 10), (2, 20), (3, 30)]


def test_depth_and_masks_are_left_out_and_counted(tmp_path: Path) -> None:
    episode = tiny_episode(1)
    depth = Frames.encode(list(tiny_images()[..., 0].astype(np.uint16)), "depth")
    episode = episode.adding(cameras={"range": depth})
    report = export_lerobot([episode], tmp_path / "out")
    assert report.left_out == {"camera range (depth)": 1}
    assert list(_import(tmp_path / "out")[0].cameras) == ["front"]


def test_cameras_can_be_chosen(tmp_path: Path) -> None:
    episode = tiny_episode(1, cameras=("front", "wrist"))
    (root,) = export_lerobot([episode], tmp_path / "out", LeRobotExport(cameras=("wrist",))).paths
    assert [path.name for path in (root / "videos/chunk-000").iterdir()] == ["observation.images.wrist"]
    assert probe(root / "videos/chunk-000/observation.images.wrist/episode_000000.mp4").frames == 12
