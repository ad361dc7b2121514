import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.datasets.clean import clean
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import DeadLetter, write_dead_letter
from storage.datasets.merge import merge
from storage.datasets.plan import WorkUnit, read_plans, write_plan
from storage.datasets.split import split
from storage.errors import AlreadyWrittenError, ConfigError, NotADatasetError
from storage.testing import same_episode, tiny_dataset, tiny_episode, write_unit
from storage.verification.verify import verify


def by_id(dataset: Dataset) -> dict:
    return {episode.episode_id: episode for episode in dataset.episodes()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(same_episode(one[name], other[name]) for name in one)


def age(path: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    for each in (path, *path.rglob("*")):
        os.utime(each, (then, then))


def test_a_merge_holds_the_episodes_of_all_its_sources(tmp_path: Path) -> None:
    one, other = tiny_dataset(tmp_path / "one"), tiny_dataset(tmp_path / "other", seed=9, embodiment="gr1")
    merged = merge([one.root, other.root], tmp_path / "merged", name="both")
    assert same(by_id(merged), by_id(one) | by_id(other))
    assert verify(merged.root) == []
    assert {unit.unit_id for unit in read_plans(merged.root)} == {*one.units(), *other.units()}


def test_a_merge_takes_no_room(tmp_path: Path) -> None:
    one, other = tiny_dataset(tmp_path / "one"), tiny_dataset(tmp_path / "other", seed=9)
    merged = merge([one.root, other.root], tmp_path / "merged", name="both")
    copied = merge([one.root, other.root], tmp_path / "copied", name="both", copy=True)
    state = f"shards/{one.units()[0]}.zarr/state/c.0.0"
    assert (merged.root / state).samefile(one.root / state)
    assert not (copied.root / state).samefile(one.root / state)
    shutil.rmtree(one.root)
    assert verify(merged.root) == verify(copied.root) == []


def test_a_merge_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    one, other = tiny_dataset(tmp_path / "one"), tiny_dataset(tmp_path / "other", seed=9)
    merged = merge([one.root, other.root], tmp_path / "merged", name="both")
    (merged.root / f"manifest/{other.units()[0]}.json").unlink()
    merge([one.root, other.root], tmp_path / "merged", name="both")
    assert verify(merged.root) == []


def test_units_that_both_sources_have_are_there_once(tmp_path: Path) -> None:
    one = tiny_dataset(tmp_path / "one")
    more = merge([one.root, tiny_dataset(tmp_path / "other", seed=9).root], tmp_path / "more", name="more")
    again = merge([one.root, more.root], tmp_path / "again", name="again")
    assert same(by_id(again), by_id(more))


def test_two_jobs_of_one_name_keep_their_plans(tmp_path: Path) -> None:
    one, other = tiny_dataset(tmp_path / "one"), tiny_dataset(tmp_path / "other", seed=9)
    merged = merge([one.root, other.root], tmp_path / "merged", name="both")
    jobs = {unit.job for unit in read_plans(merged.root)}
    assert "tiny" in jobs
    assert len(jobs) == 2


def test_one_unit_id_with_two_contents_is_refused(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        Dataset.create(tmp_path / name, name=name)
        write_unit(tmp_path / name, [tiny_episode(seed)], unit_id="same")
    with pytest.raises(AlreadyWrittenError, match="one id, two contents"):
        merge([tmp_path / "one", tmp_path / "other"], tmp_path / "merged", name="both")


def test_one_episode_in_two_units_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("one", "other"):
        Dataset.create(tmp_path / name, name=name)
        write_unit(tmp_path / name, [tiny_episode(1)], unit_id=name)
    with pytest.raises(AlreadyWrittenError, match="can be merged only where they share whole units"):
        merge([tmp_path / "one", tmp_path / "other"], tmp_path / "merged", name="both")
    assert not (tmp_path / "merged").exists()


def test_a_merge_needs_other_folders(tmp_path: Path) -> None:
    one = tiny_dataset(tmp_path / "one")
    for sources, target in (
        ([one.root], "merged"),
        ([one.root, one.root], "merged"),
        ([one.root, tmp_path / "x"], "one"),
    ):
        with pytest.raises((ConfigError, NotADatasetError)):
            merge(sources, tmp_path / target, name="both")


def test_a_split_holds_every_episode_once(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=4, episodes_per_unit=5, length=3)
    parts = {tmp_path / "train": 0.7, tmp_path / "validate": 0.2, tmp_path / "test": 0.1}
    counts = split(dataset.root, parts)
    found = [by_id(Dataset.open(part)) for part in parts]
    assert [len(part) for part in found] == [*counts.values()]
    assert sum(len(part) for part in found) == len(dataset)
    assert same(found[0] | found[1] | found[2], by_id(dataset))
    assert [finding for part in parts for finding in verify(part)] == []
    assert 0.4 < len(found[0]) / len(dataset) < 0.95


def test_an_episode_stays_on_its_side_when_the_data_set_grows(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=2, episodes_per_unit=5, length=3)
    split(dataset.root, {tmp_path / "a": 0.5, tmp_path / "b": 0.5}, seed=4)
    units = [[tiny_episode(1000 + 5 * unit + place, length=3) for place in range(5)] for unit in range(2)]
    for episodes in units:
        write_unit(dataset.root, episodes)
    split(dataset.root, {tmp_path / "a2": 0.5, tmp_path / "b2": 0.5}, seed=4)
    for part in ("a", "b"):
        assert by_id(Dataset.open(tmp_path / part)).keys() <= by_id(Dataset.open(tmp_path / f"{part}2")).keys()


def test_splitting_twice_gives_the_same_bytes_and_another_seed_another_split(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=3, episodes_per_unit=6, length=3)
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        split(dataset.root, {tmp_path / f"{name}-a": 0.5, tmp_path / f"{name}-b": 0.5}, seed=seed)

    def files(part: str) -> dict[str, bytes]:
        folder = tmp_path / part / "shards"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert files("one-a") == files("again-a")
    assert files("one-a").keys() != files("other-a").keys()


def test_children_of_one_parent_stay_together_when_asked_to(tmp_path: Path) -> None:
    Dataset.create(tmp_path / "data", name="family")
    episodes = [tiny_episode(seed, length=3, parent_id=f"parent {seed % 6}") for seed in range(24)]
    write_unit(tmp_path / "data", episodes)
    split(tmp_path / "data", {tmp_path / "a": 0.5, tmp_path / "b": 0.5}, by_parent=True)
    parents = [{episode.parent_id for episode in by_id(Dataset.open(tmp_path / part)).values()} for part in "ab"]
    assert parents[0] | parents[1] == {f"parent {number}" for number in range(6)}
    assert not parents[0] & parents[1]


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.0,), (1.5, -0.5)])
def test_shares_that_are_no_shares_are_refused(tmp_path: Path, shares: tuple[float, ...]) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=1)
    with pytest.raises(ConfigError, match="sum to 1"):
        split(dataset.root, {tmp_path / str(number): share for number, share in enumerate(shares)})


def test_cleaning_removes_garbage_and_nothing_else(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    dataset.compact()
    write_unit(dataset.root, [tiny_episode(77)])
    write_plan(
        dataset.root,
        [WorkUnit(unit_id=each, job="late", items=(), config_hash="") for each in Dataset.open(dataset.root).units()],
    )
    Dataset.open(dataset.root).compact()
    before = by_id(Dataset.open(dataset.root))
    shutil.copytree(dataset.root / f"shards/{dataset.units()[0]}.zarr", dataset.root / "shards/nobody.zarr")
    (dataset.root / "_staging/shards.u.dead").mkdir(parents=True)
    for garbage in ("shards/nobody.zarr", "_staging/shards.u.dead"):
        age(dataset.root / garbage, 2)
    removed = {path.relative_to(dataset.root).parts[0] for path in clean(dataset.root)}
    assert removed == {"shards", "_staging", "index"}
    assert verify(dataset.root) == []
    assert same(by_id(Dataset.open(dataset.root)), before)


def test_cleaning_leaves_alone_what_may_be_at_work(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    (dataset.root / "_staging/shards.u.busy").mkdir(parents=True)
    assert clean(dataset.root) == []
    assert (dataset.root / "_staging/shards.u.busy").exists()


def test_only_data_sets_are_cleaned(tmp_path: Path) -> None:
    with pytest.raises(NotADatasetError):
        clean(tmp_path)


def labelled(root: Path, seed: int) -> Dataset:
    """A data set with labels, one dead letter, and a plan for everything."""
    dataset = tiny_dataset(root, seed=seed, episodes_per_unit=5, length=4)
    for unit_id in dataset.units():
        shard = dataset.shard(unit_id)
        latent = {"action/latent": np.full((4, 2), seed, dtype=np.float32)}
        labels = [replace(shard.episode(place), cameras={}, arrays=latent) for place in range(5)]
        write_unit(root, labels, unit_id=unit_id, sink="labels/lapa")
    units = [
        WorkUnit(unit_id=each, job="label", items=(), config_hash="", sink="labels/lapa") for each in dataset.units()
    ]
    write_plan(root, units)
    write_plan(root, [WorkUnit(unit_id=f"lost {seed}", job="lost", items=(), config_hash="")])
    (root / "plan/lost.json").write_text("{}")
    letter = DeadLetter(unit_id=f"lost {seed}", job="lost", stage="s", attempts=3, host="h", error="E", message="m")
    write_dead_letter(root, letter)
    return Dataset.open(root, labels=("lapa",))


def test_a_merge_brings_labels_and_dead_letters_along(tmp_path: Path) -> None:
    one, other = labelled(tmp_path / "one", 1), labelled(tmp_path / "other", 2)
    merged = merge([one.root, other.root], tmp_path / "merged", name="both")
    assert same(by_id(Dataset.open(merged.root, labels=("lapa",))), by_id(one) | by_id(other))
    assert merged.sink.dead() == {"lost 1", "lost 2"}
    assert verify(merged.root) == []


def test_a_split_brings_labels_along(tmp_path: Path) -> None:
    dataset = labelled(tmp_path / "data", 1)
    split(dataset.root, {tmp_path / "a": 0.5, tmp_path / "b": 0.5})
    parts = [Dataset.open(tmp_path / part, labels=("lapa",)) for part in "ab"]
    assert same(by_id(parts[0]) | by_id(parts[1]), by_id(dataset))
    assert verify(parts[0].root) == verify(parts[1].root) == []
