import pickle
from pathlib import Path

import numpy as np
import pytest

from storage.atomic_files import read_json, sealed_json_bytes
from storage.datasets.dataset import Dataset
from storage.embodiment import Embodiment, Layout, Part
from storage.errors import (
    AlreadyWrittenError,
    ConfigError,
    CorruptFileError,
    NotADatasetError,
    SchemaVersionError,
    UnknownNameError,
    WorldError,
)
from storage.testing import same_episode, tiny_dataset, tiny_episode, write_unit


def ids(dataset: Dataset) -> list[str]:
    return [episode.episode_id for episode in dataset.episodes()]


def change_json(path: Path, **values: object) -> None:
    path.write_bytes(sealed_json_bytes({**read_json(path), **values}))


def test_episodes_come_out_of_a_data_set_as_they_went_in(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=2, episodes_per_unit=2, cameras=("front", "wrist"))
    expected = {seed: tiny_episode(seed, length=8 + seed % 9, cameras=("front", "wrist")) for seed in range(4)}
    by_id = {episode.episode_id: episode for episode in expected.values()}
    found = list(dataset.episodes())
    assert len(found) == len(dataset) == 4
    assert all(same_episode(episode, by_id[episode.episode_id]) for episode in found)
    assert all(same_episode(dataset.episode(name), episode) for name, episode in by_id.items())
    assert dataset.steps == sum(episode.length for episode in found)


def test_an_index_changes_nothing_but_the_time_to_open(tmp_path: Path) -> None:
    without = tiny_dataset(tmp_path / "data", units=3)
    without.compact()
    with_index = Dataset.open(tmp_path / "data")
    assert with_index.index.table.equals(without.index.table)
    assert with_index.index.layouts == without.index.layouts
    assert with_index.units() == without.units()


def test_units_committed_after_the_index_was_written_are_there(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data").compact()
    for seed in range(900, 905):
        write_unit(tmp_path / "data", [tiny_episode(seed, embodiment="gr1")])
    grown = Dataset.open(tmp_path / "data")
    assert len(grown) == 11
    stale = ids(grown)
    grown.compact()
    assert ids(Dataset.open(tmp_path / "data")) == stale
    assert Dataset.open(tmp_path / "data").index.table.equals(grown.index.table)


def test_a_unit_whose_manifest_is_gone_is_gone_from_the_index(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    dataset.compact()
    dataset.sink.manifest(dataset.units()[0]).unlink()
    assert Dataset.open(tmp_path / "data").units() == dataset.units()[1:]


def test_what_is_open_is_a_snapshot(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    write_unit(tmp_path / "data", [tiny_episode(900)])
    assert (len(dataset), len(Dataset.open(tmp_path / "data"))) == (6, 7)


def test_a_data_set_without_an_episode_can_be_opened_and_compacted(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", name="empty")
    dataset.compact()
    assert ids(Dataset.open(tmp_path / "data")) == []
    assert Dataset.open(tmp_path / "data").invalid_steps().tolist() == []


def test_a_data_set_can_be_sent_to_another_process(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    next(dataset.episodes())
    assert ids(pickle.loads(pickle.dumps(dataset))) == ids(dataset)


def test_an_embodiment_of_its_own_travels_with_the_data_set(tmp_path: Path) -> None:
    mine = Embodiment(
        name="test_arm",
        description="one joint",
        state=Layout(parts=(Part(name="a", size=1, quantity="joint", unit="rad"),)),
    )
    Dataset.create(tmp_path / "data", name="own").declare(mine)
    assert Dataset.open(tmp_path / "data").embodiments == {"test_arm": mine}


def test_another_declaration_of_the_same_name_is_refused(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data", name="own")
    with pytest.raises(ConfigError, match="declared already with other parts"):
        dataset.declare(Embodiment(name="panda", description="no panda"))


def test_an_unknown_episode_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown episode of"):
        tiny_dataset(tmp_path / "data").episode("nobody")


def test_a_folder_that_holds_something_else_is_no_place_for_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(NotADatasetError, match="not empty and not a data set; choose a new or an empty folder"):
        Dataset.create_or_open(tmp_path, name="data")
    with pytest.raises(NotADatasetError, match="not empty"):
        Dataset.create(tmp_path / "thesis.txt", name="data")


def test_a_data_set_is_not_created_twice_but_opened(tmp_path: Path) -> None:
    Dataset.create(tmp_path / "data", name="first")
    with pytest.raises(AlreadyWrittenError, match="holds a data set already"):
        Dataset.create(tmp_path / "data", name="second")
    assert Dataset.create_or_open(tmp_path / "data", name="second").name == "first"


@pytest.mark.parametrize(
    ("inside", "told"), [(None, "is not there"), ("", "has no dataset.json"), ("{", "not valid JSON")]
)
def test_what_is_no_data_set_is_not_opened(tmp_path: Path, inside: str | None, told: str) -> None:
    if inside is not None:
        (tmp_path / "data").mkdir()
    if inside:
        (tmp_path / "data/dataset.json").write_text(inside)
    with pytest.raises(NotADatasetError, match=told):
        Dataset.open(tmp_path / "data")


def test_a_data_set_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    Dataset.create(tmp_path / "data", name="old")
    change_json(tmp_path / "data/dataset.json", schema_version=99)
    with pytest.raises(SchemaVersionError, match=r"schema version 1; this one has 99; use the program that wrote it"):
        Dataset.open(tmp_path / "data")


def test_an_index_that_cannot_be_read_says_how_to_get_rid_of_it(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    dataset.compact()
    next((tmp_path / "data/index").glob("*.parquet")).write_bytes(b"nothing")
    with pytest.raises(CorruptFileError, match=r"remove the folder .*index, it is made again"):
        Dataset.open(tmp_path / "data")


def test_a_place_where_nothing_can_be_written_is_a_world_error() -> None:
    with pytest.raises(WorldError, match="choose a folder that can be written"):
        Dataset.create(Path("/proc/data"), name="data")


def test_numbers_of_the_index_are_those_of_its_table(tmp_path: Path) -> None:
    index = tiny_dataset(tmp_path / "data", units=3).index
    for name in ("start", "length", "place", "rate_hz", "unlabelled", "invalid_steps"):
        np.testing.assert_array_equal(index.numbers(name), index.table[name].to_pylist())
