"""Importing as a job: items that travel as JSON, units that fit into shards, one bad input of many."""

import json
from pathlib import Path

import pytest

from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError
from storage.formats.detect import detect_format
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import BAD_INPUT, ImportEpisodes, inputs_of, list_items, provides_of
from storage.formats.testing import tiny_lerobot, tiny_robomimic, tiny_video
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.shards.reader import Shard
from storage.shards.writer import ShardWriter
from storage.testing import same_episode, tiny_dataset

RANDOMNESS = Randomness(0, "import_episodes")


def _source(root: Path, name: str) -> Path:
    if name == "lerobot":
        return tiny_lerobot(root / "source", columns={"next.reward": 0.5})
    if name == "robomimic":
        return tiny_robomimic(root / "source" / "demo.hdf5")
    for place in range(3):
        tiny_video(root / "source" / f"{place}.mp4")
    return root / "source"


@pytest.mark.parametrize("name", ["lerobot", "robomimic", "videos"])
def test_every_format_goes_from_its_folder_into_a_shard(tmp_path: Path, name: str) -> None:
    root = _source(tmp_path, name)
    assert detect_format(root) == name
    config = ImportConfig(path=str(root))
    (unit,) = list_items(config)
    assert unit == json.loads(json.dumps(unit))
    outcomes = ImportEpisodes(config)(unit, RANDOMNESS)
    episodes = [outcome.episode for (outcome,) in outcomes if isinstance(outcome, Kept)]
    assert len(episodes) == 3
    assert all(provides_of([unit]) <= episode.fields for episode in episodes)
    with ShardWriter(tmp_path / "unit.zarr", unit_id="unit") as writer:
        for episode in episodes:
            writer.add(episode)
        writer.close()
    shard = Shard(tmp_path / "unit.zarr")
    for place, episode in enumerate(episodes):
        assert same_episode(episode, shard.episode(place))


@pytest.mark.parametrize("name", ["lerobot", "robomimic", "videos"])
def test_an_import_done_twice_gives_the_same_episodes(tmp_path: Path, name: str) -> None:
    config = ImportConfig(path=str(_source(tmp_path, name)))
    first, second = (ImportEpisodes(config)(list_items(config)[0], RANDOMNESS) for _ in range(2))
    for (one,), (other,) in zip(first, second, strict=True):
        assert isinstance(one, Kept)
        assert isinstance(other, Kept)
        assert same_episode(one.episode, other.episode)


def test_one_bad_input_of_many_is_dropped_with_its_reason(tmp_path: Path) -> None:
    root = _source(tmp_path, "lerobot")
    config = ImportConfig(path=str(root))
    (unit,) = list_items(config)
    (root / "data/chunk-000/episode_000001.parquet").unlink()
    first, (second,), third = ImportEpisodes(config)(unit, RANDOMNESS)
    assert isinstance(first[0], Kept)
    assert isinstance(third[0], Kept)
    assert isinstance(second, Dropped)
    assert (second.reason, second.episode_id) == (BAD_INPUT, unit[1]["episode_id"])
    assert second.detail["error"] == "MissingFileError"
    assert "episode_000001.parquet is not there" in second.detail["message"]


def test_when_every_input_is_bad_the_error_is_raised_and_nothing_else_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = ImportConfig(path=str(_source(tmp_path, "videos")))
    (unit,) = list_items(config)
    for path in (tmp_path / "source").iterdir():
        path.unlink()
    with pytest.raises(MissingFileError):
        ImportEpisodes(config)(unit, RANDOMNESS)
    assert not caplog.records


def test_units_are_of_the_wanted_size_and_name_their_inputs(tmp_path: Path) -> None:
    config = ImportConfig(path=str(tiny_lerobot(tmp_path / "set", numbers=range(5))), episodes_per_unit=2)
    units = list_items(config)
    assert [len(unit) for unit in units] == [2, 2, 1]
    inputs = inputs_of(units[2])
    assert sorted(inputs) == [
        "data/chunk-000/episode_000004.parquet",
        "videos/chunk-000/observation.images.ego/episode_000004.mp4",
    ]
    assert all(len(mark) == 32 for mark in inputs.values())


def test_units_do_not_depend_on_how_much_else_is_imported(tmp_path: Path) -> None:
    root = str(tiny_lerobot(tmp_path / "set", numbers=range(4)))
    few = list_items(ImportConfig(path=root, episodes_per_unit=2, limit=2))
    assert few == list_items(ImportConfig(path=root, episodes_per_unit=2))[:1]


def test_what_is_nothing_that_can_be_imported_says_what_could_be(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="is not there; expected a LeRobot folder"):
        detect_format(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"is nothing that can be imported: expected meta/info\.json"):
        detect_format(tmp_path)
    tiny_lerobot(tmp_path / "inner" / "set", numbers=(0,), cameras=())
    assert detect_format(tmp_path / "inner") == "lerobot"
    tiny_dataset(tmp_path / "ours", units=1)
    with pytest.raises(InputError, match="is a data set of this project already"):
        detect_format(tmp_path / "ours")


def test_settings_are_checked_when_they_are_made() -> None:
    with pytest.raises(ConfigError, match="an import needs a path"):
        list_items(ImportConfig())
    with pytest.raises(ConfigError, match="a unit of an import holds at least 1 episode"):
        ImportConfig(path="x", episodes_per_unit=0)
    with pytest.raises(ConfigError, match="imported cameras are colour"):
        ImportConfig(path="x", codec="depth")


def test_a_format_that_was_named_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.hdf5").write_text("no")
    with pytest.raises(CorruptFileError):
        list_items(ImportConfig(path=str(tmp_path), format="robomimic"))
    with pytest.raises(MissingFileError, match=r"holds no meta/info\.json"):
        list_items(ImportConfig(path=str(tmp_path), format="lerobot"))


def test_units_stay_below_the_wanted_size_in_memory(tmp_path: Path) -> None:
    root = str(tiny_lerobot(tmp_path / "set", numbers=range(5), length=10))
    # 10 frames of 32x48 px at 0.15 bytes a pixel are 2,304 bytes.
    assert [len(unit) for unit in list_items(ImportConfig(path=root, megabytes_per_unit=0.005))] == [2, 2, 1]
    assert [len(unit) for unit in list_items(ImportConfig(path=root, megabytes_per_unit=0.0001))] == [1] * 5
    assert [len(unit) for unit in list_items(ImportConfig(path=root, megabytes_per_unit=0.005, size_px=(8, 8)))] == [5]
