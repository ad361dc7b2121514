"""Sidecars: labels that come later, in the row order of the shard they label."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.datasets.commit import Attempt
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import Manifest
from storage.datasets.unit_paths import Sink
from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, UnknownNameError
from storage.outcomes import Dropped
from storage.shards.writer import ShardWriter
from storage.testing import tiny_dataset, tiny_episode, write_unit


def label_of(episode: Episode, **changes: object) -> Episode:
    """What a labeller says about an episode: latent actions that count its steps."""
    latent = np.full((episode.length, 4), len(episode.episode_id), dtype=np.float32)
    latent[:, 0] = np.arange(episode.length)
    bare = replace(episode, cameras={}, arrays={"action/latent": latent}, provenance={"lapa": {"version": 1}})
    return replace(bare, **changes)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    dataset = tiny_dataset(tmp_path / "data", units=2)
    for unit_id in dataset.units():
        shard = dataset.shard(unit_id)
        labels = [label_of(shard.episode(place)) for place in range(len(shard.episodes))]
        write_unit(dataset.root, labels, unit_id=unit_id, sink="labels/lapa")
    return dataset.root


def test_joined_labels_are_there_as_if_they_had_always_been(labelled: Path) -> None:
    for episode in Dataset.open(labelled, labels=("lapa",)).episodes():
        assert episode.fields >= {"state", "video/front", "action/latent"}
        assert episode.arrays["action/latent"][:, 0].tolist() == list(range(episode.length))
        assert episode.provenance.keys() == {"source", "lapa"}


def test_labels_that_were_not_asked_for_are_not_there(labelled: Path) -> None:
    assert all("action/latent" not in episode.fields for episode in Dataset.open(labelled).episodes())


def test_the_shards_that_are_labelled_do_not_change(labelled: Path, tmp_path: Path) -> None:
    other = tiny_dataset(tmp_path / "other", units=2).root
    for path in (path for path in (other / "shards").rglob("*") if path.is_file()):
        assert (labelled / path.relative_to(other)).read_bytes() == path.read_bytes()


def test_an_unknown_label_is_named_with_those_there_are(labelled: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown label .*'lappa'; did you mean lapa"):
        Dataset.open(labelled, labels=("lappa",))


def test_labels_work_the_same_through_their_index(labelled: Path) -> None:
    before = Dataset.open(labelled, labels=("lapa",))
    before.compact()
    after = Dataset.open(labelled, labels=("lapa",))
    assert after.label_indices["lapa"].table.equals(before.label_indices["lapa"].table)
    assert after.fields(after.units()[0]) == before.fields(before.units()[0])


def test_an_episode_that_the_labeller_dropped_has_no_label(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    (unit_id,) = dataset.units()
    episodes = list(dataset.episodes())
    sink = Sink(dataset.root, "labels/lapa")
    with Attempt(sink, unit_id) as attempt:
        with ShardWriter(attempt.path, unit_id=unit_id) as writer:
            for episode in episodes:
                writer.add(label_of(episode))
            record = writer.close()
        dropped = (Dropped(episode_id=episodes[1].episode_id, reason="still"),)
        about = {"job": "label", "config_hash": "", "sink": sink.name, "shard": record, "dropped": dropped}
        attempt.publish(Manifest(unit_id=unit_id, **about))
    joined = list(Dataset.open(dataset.root, labels=("lapa",)).episodes())
    assert ["action/latent" in episode.fields for episode in joined] == [True, False, True]


def test_a_new_caption_shows_and_keeps_the_one_it_replaced(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=1)
    (episode,) = dataset.episodes()
    flags = {"label/flags/caption": np.zeros(episode.length, dtype=np.uint8)}
    caption = label_of(episode, instruction="lift the disc", arrays=flags, verdicts=({"judge": "caption"},))
    write_unit(dataset.root, [caption], unit_id=dataset.units()[0], sink="labels/captions")
    joined = Dataset.open(dataset.root, labels=("captions",))
    (found,) = joined.episodes()
    assert (found.instruction, found.original_instruction) == ("lift the disc", "put the disc on the table")
    assert found.verdicts == ({"judge": "caption"},)
    assert joined.instructions().tolist() == ["lift the disc"]


def test_two_labels_with_one_array_are_not_joined_together(labelled: Path) -> None:
    dataset = Dataset.open(labelled)
    for unit_id in dataset.units():
        shard = dataset.shard(unit_id)
        labels = [label_of(shard.episode(place)) for place in range(len(shard.episodes))]
        write_unit(labelled, labels, unit_id=unit_id, sink="labels/lapa2")
    with pytest.raises(ConfigError, match=r"'lapa' and 'lapa2' both hold 'action/latent'; join one of them only"):
        Dataset.open(labelled, labels=("lapa", "lapa2"))


def test_labels_of_another_data_set_are_refused(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    write_unit(dataset.root, [label_of(tiny_episode(77))], unit_id=dataset.units()[0], sink="labels/lapa")
    with pytest.raises(CorruptFileError, match=r"has 1 episodes of unit .*, which has 3; it was made for another"):
        Dataset.open(dataset.root, labels=("lapa",))


def test_a_new_instruction_stays_whatever_is_joined_after_it(labelled: Path) -> None:
    dataset = Dataset.open(labelled)
    for unit_id in dataset.units():
        shard = dataset.shard(unit_id)
        told = [label_of(shard.episode(place), arrays={}, instruction="lift") for place in range(len(shard.episodes))]
        write_unit(labelled, told, unit_id=unit_id, sink="labels/caption")
    joined = Dataset.open(labelled, labels=("caption", "lapa"))
    assert {episode.instruction for episode in joined.episodes()} == {"lift"}
    assert set(joined.instructions()) == {"lift"}
