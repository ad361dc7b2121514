"""Damage is found wherever it strikes, and mended by making again what it struck."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.datasets.clean import clean
from storage.datasets.dataset import Dataset
from storage.datasets.merge import merge
from storage.datasets.plan import WorkUnit, read_plans, write_plan
from storage.datasets.split import split
from storage.datasets.unit_paths import Sink
from storage.errors import CorruptFileError, DatasetError
from storage.testing import assert_sound, tiny_dataset, tiny_episode, write_unit
from storage.verification.repair import DAMAGED, repair
from storage.verification.verify import verify


def made(root: Path) -> Path:
    """A small data set with an index, whose units can be made again by `make_again`."""
    tiny_dataset(root, units=2, episodes_per_unit=2, length=4).compact()
    return root


def make_again(root: Path) -> None:
    """What `resume` does: the units of the plan that have no manifest."""
    units = [unit.unit_id for unit in read_plans(root)]
    episodes = [tiny_episode(seed, length=4) for seed in range(4)]
    for number, unit_id in enumerate(units):
        if unit_id not in Sink(root).committed():
            write_unit(root, episodes[2 * number : 2 * number + 2], unit_id=unit_id)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("sound") / "data")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.floats(0, 1, exclude_max=True), place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_any_changed_byte_is_found_and_mended_or_refused(
    sound: Path, tmp_path: Path, file: float, place: float, value: int
) -> None:
    root = tmp_path / "data"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(sound, root)
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    struck = files[int(file * len(files))]
    content = bytearray(struck.read_bytes())
    content[int(place * len(content))] ^= value
    struck.write_bytes(content)
    if struck.name == "dataset.json":
        with pytest.raises(DatasetError):
            verify(root)
        return
    assert any(finding.is_damage and finding.mend for finding in verify(root))
    assert not repair(root).left
    if struck.parent.name == "plan":
        shutil.copytree(sound / "plan", root / "plan", dirs_exist_ok=True)  # the same command plans the same again
    make_again(root)
    Dataset.open(root).compact()
    clean(root, older_than_s=0.0)
    assert_sound(root)
    assert (root / DAMAGED).is_dir() or struck.parent.name == "index"


def test_a_shard_that_vanished_is_made_again_to_the_byte(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    unit_id = Dataset.open(root).units()[0]
    before = {path.name: path.read_bytes() for path in Sink(root).shard(unit_id).rglob("*") if path.is_file()}
    shutil.rmtree(Sink(root).shard(unit_id))
    assert repair(root).units == (("shards", unit_id),)
    make_again(root)
    after = {path.name: path.read_bytes() for path in Sink(root).shard(unit_id).rglob("*") if path.is_file()}
    assert after == before


def test_labels_of_a_damaged_unit_stay_for_the_unit_that_is_made_again(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    labels = Sink(root, "labels/mine")
    shard = Dataset.open(root).shard(unit_id := Dataset.open(root).units()[0])
    write_plan(root, [WorkUnit(unit_id=unit_id, job="mine", items=({},), config_hash="c", sink=labels.name)])
    episodes = [shard.episode(place) for place in range(len(shard.episodes))]
    write_unit(root, episodes, unit_id=unit_id, sink=labels.name)
    (root / f"manifest/{unit_id}.json").write_text("{")
    assert repair(root).units == (("shards", unit_id),)
    make_again(root)
    assert labels.committed() == {unit_id}
    assert not [finding for finding in verify(root) if finding.kind == "label"]


def test_dead_letters_and_jobs_that_cannot_be_read_are_found_and_taken_out(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    (root / "failed").mkdir()
    struck = {"plan/tiny.json", "failed/u.json"}
    for name in struck:
        (root / name).write_text("[")
    assert {finding.path for finding in verify(root) if finding.kind == "unreadable"} == struck
    assert set(repair(root).files) == struck
    assert all((root / DAMAGED / name).read_text() == "[" for name in struck)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_whatever_the_product_writes_verifies(tmp_path: Path, seed: int) -> None:
    """Data sets of different layouts, compacted at any time, merged in any order, added to and split."""
    random = np.random.default_rng(seed)
    folder = tmp_path / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    parts = []
    for number in range(int(random.integers(2, 4))):
        cameras = [("front",), ("front", "wrist"), ("side",)][int(random.integers(3))]
        part = tiny_dataset(folder / f"part{number}", units=2, episodes_per_unit=2, seed=number, cameras=cameras)
        if random.random() < 0.5:
            part.compact()
        parts.append(part.root)
    merged = merge([parts[i] for i in random.permutation(len(parts))], folder / "merged", name="merged")
    unit = write_unit(merged.root, [tiny_episode(9_000 + seed, cameras=("top",))], unit_id="0" * 32)
    write_plan(merged.root, [WorkUnit(unit_id=unit, job="late", items=({},), config_hash="c")])
    Dataset.open(merged.root).compact()
    split(merged.root, {folder / "train": 0.5, folder / "test": 0.5}, seed=seed)
    for root in (merged.root, folder / "train", folder / "test", *parts):
        assert_sound(root)


def test_a_checked_reader_refuses_a_flipped_byte(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    unit_id = Dataset.open(root).units()[0]
    file = max(
        (path for path in Sink(root).shard(unit_id).rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    list(Dataset.open(root).units())
    with pytest.raises(CorruptFileError, match="is not what was committed"):
        list(Dataset.open(root, checked=True).episodes())
