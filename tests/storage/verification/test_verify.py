import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.atomic_files import read_json, sealed_json_bytes
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import DeadLetter, write_dead_letter
from storage.datasets.index import current_index, read_index
from storage.datasets.plan import WorkUnit, write_plan
from storage.datasets.unit_paths import Sink
from storage.errors import CorruptFileError, NotADatasetError
from storage.testing import tiny_dataset, tiny_episode, write_unit
from storage.verification.findings import Finding
from storage.verification.verify import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound data set with labels and an index."""
    dataset = tiny_dataset(tmp_path / "data")
    label_all(dataset)
    Dataset.open(dataset.root).compact()
    return dataset.root


def label_all(dataset: Dataset) -> None:
    plan = []
    for unit_id in dataset.units():
        shard = dataset.shard(unit_id)
        latent = [np.zeros((record["length"], 4), dtype=np.float32) for record in shard.episodes]
        labels = [
            replace(shard.episode(place), cameras={}, arrays={"action/latent": rows})
            for place, rows in enumerate(latent)
        ]
        write_unit(dataset.root, labels, unit_id=unit_id, job="label", sink="labels/lapa")
        plan.append(WorkUnit(unit_id=unit_id, job="label", items=(), config_hash="", sink="labels/lapa"))
    write_plan(dataset.root, plan)


def first_shard(root: Path) -> Path:
    return sorted((root / "shards").iterdir())[0]


def kinds(root: Path) -> list[str]:
    return [finding.kind for finding in verify(root)]


def one(root: Path) -> Finding:
    (finding,) = verify(root)
    return finding


def test_a_sound_data_set_has_no_finding(root: Path) -> None:
    assert verify(root) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_in_any_shard_is_found(root: Path, data: st.DataObject) -> None:
    files = sorted(path for folder in ("shards", "labels/lapa") for path in (root / folder).glob("*.zarr/**/*"))
    path = data.draw(st.sampled_from([path for path in files if path.is_file()]))
    content = bytearray(path.read_bytes())
    sound = bytes(content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    finding = one(root)
    path.write_bytes(sound)
    assert (finding.kind, finding.path) == ("damaged", path.relative_to(root).as_posix())


@pytest.mark.parametrize("name", ["video/front/c.0.0.0.0", "state/c.0.0", "zarr.json"])
def test_a_truncated_file_is_found(root: Path, name: str) -> None:
    path = first_shard(root) / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    finding = one(root)
    assert finding.kind == "truncated"
    assert finding.text == f"expected {size} bytes; got {size - 5}"
    assert finding.is_damage


def test_a_missing_file_and_a_missing_shard_are_found(root: Path) -> None:
    (first_shard(root) / "state/c.0.0").unlink()
    assert kinds(root) == ["missing"]
    shutil.rmtree(first_shard(root))
    assert one(root).text == "the manifest is there, the shard is not"


def test_an_orphan_is_found_and_is_no_damage(root: Path) -> None:
    unit_id = first_shard(root).stem
    shutil.copytree(first_shard(root), root / "shards/nobody.zarr")
    finding = one(root)
    assert (finding.kind, finding.path, finding.is_damage) == ("orphan", "shards/nobody.zarr", False)
    shutil.rmtree(root / "shards/nobody.zarr")
    (root / f"shards/{unit_id}.zarr/notes.txt").write_text("mine")
    assert one(root).path == f"shards/{unit_id}.zarr/notes.txt"


def test_what_an_attempt_left_behind_is_found_and_is_no_damage(root: Path) -> None:
    (root / "_staging/shards.u.dead").mkdir(parents=True)
    assert (one(root).kind, one(root).is_damage) == ("leftover", False)


def damage_manifest(change: Callable[[dict], None], root: Path) -> None:
    shutil.rmtree(root / "index")
    path = root / f"manifest/{first_shard(root).stem}.json"
    record = read_json(path)
    change(record)
    path.write_bytes(sealed_json_bytes(record))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda record: record["shard"].update(steps=99), "disagree about the number of steps"),
        (lambda record: record["shard"].update(bytes=1), "disagree about the bytes of all files"),
        (lambda record: record["shard"]["episodes"][0].update(instruction="other"), "disagree about the episodes"),
        (lambda record: record.update(unit_id="other"), "is the manifest of unit other"),
    ],
)
def test_a_manifest_that_says_other_things_than_its_shard_is_found(
    root: Path, change: Callable[[dict], None], told: str
) -> None:
    damage_manifest(change, root)
    assert any(told in finding.text for finding in verify(root) if finding.kind in ("count", "unreadable"))


@pytest.mark.parametrize(
    "change",
    [
        lambda layout: layout["arrays"]["state"].update(dtype="float35"),
        lambda layout: layout["arrays"]["state"].update(row_shape=["3"]),
        lambda layout: layout["cameras"]["front"].update(width_px=-1),
        lambda layout: layout.update(arrays=[]),
    ],
)
def test_a_layout_that_nothing_can_have_is_found_in_manifest_and_index(
    root: Path, change: Callable[[dict], None]
) -> None:
    sink = Sink(root)
    path = current_index(sink)
    assert path is not None
    table = pyarrow.parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"data_pyramid"])
    change(about["layouts"][0])
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"data_pyramid": json.dumps(about)}), path)
    assert "the layout of a shard is damaged" in one(root).text
    with pytest.raises(CorruptFileError, match="it is made again from the manifests"):
        read_index(sink)
    damage_manifest(lambda record: change(record["shard"]["layout"]), root)
    assert "unreadable" in kinds(root)


@pytest.mark.parametrize("number", [99, -1, "0", None, 1.0])
def test_an_index_whose_units_have_no_layout_is_found(root: Path, number: object) -> None:
    path = current_index(Sink(root))
    assert path is not None
    table = pyarrow.parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"data_pyramid"])
    about["layout_of_unit"][first_shard(root).stem] = number
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"data_pyramid": json.dumps(about)}), path)
    assert "layout" in one(root).text
    with pytest.raises(CorruptFileError, match="it is made again from the manifests"):
        Dataset.open(root).index  # noqa: B018


def test_a_manifest_that_cannot_be_read_is_found(root: Path) -> None:
    shutil.rmtree(root / "index")
    (root / f"manifest/{first_shard(root).stem}.json").write_text("{")
    assert "unreadable" in kinds(root)


def test_an_episode_in_two_units_is_found(tmp_path: Path) -> None:
    Dataset.create(tmp_path / "data", name="twice")
    for unit_id in ("one", "two"):
        write_unit(tmp_path / "data", [tiny_episode()], unit_id=unit_id)
    write_plan(
        tmp_path / "data", [WorkUnit(unit_id=name, job="tiny", items=(), config_hash="") for name in ("one", "two")]
    )
    assert one(tmp_path / "data").text.endswith("is in unit one too")


def test_labels_of_a_unit_that_is_not_there_or_is_another_are_found(root: Path) -> None:
    unit_id = first_shard(root).stem
    shutil.rmtree(root / "index")
    shutil.rmtree(first_shard(root))
    (root / f"manifest/{unit_id}.json").unlink()
    assert set(kinds(root)) == {"label", "plan"}
    write_unit(root, [tiny_episode(55)], unit_id=unit_id)
    assert one(root).text == "labels other episodes than the unit of this id has"


def test_an_index_that_says_other_things_than_the_manifests_is_found(root: Path, tmp_path: Path) -> None:
    other = tiny_dataset(tmp_path / "other", instruction="something else")
    other.compact()
    shutil.rmtree(root / "index")
    shutil.copytree(other.root / "index", root / "index")
    assert (one(root).kind, one(root).text) == ("index", "says other things than the manifests do")


def test_a_planned_unit_without_manifest_or_dead_letter_is_found(root: Path) -> None:
    unit = WorkUnit(unit_id="todo", job="more", items=(), config_hash="")
    write_plan(root, [unit])
    assert any("todo for shards has no manifest and no dead letter" in each.text for each in verify(root))
    letter = DeadLetter(unit_id="todo", job="more", stage="s", attempts=3, host="h", error="E", message="m")
    write_dead_letter(root, letter)
    assert "plan/more.json is not there" in one(root).text
    (root / "plan/more.json").write_text("{}")
    assert verify(root) == []


def test_a_unit_that_nobody_planned_is_found(root: Path) -> None:
    write_unit(root, [tiny_episode(77)])
    assert (one(root).kind, one(root).text) == ("plan", "no plan speaks of this unit")


def test_what_is_no_data_set_is_not_verified(tmp_path: Path) -> None:
    with pytest.raises(NotADatasetError):
        verify(tmp_path)


def test_time_stamps_that_go_back_are_found(tmp_path: Path) -> None:
    stamps = np.concatenate([np.arange(6), np.arange(6)]) / 20
    Dataset.create(tmp_path, name="data")
    write_unit(tmp_path, [tiny_episode(0, length=12, arrays={"timestamp": stamps})])
    assert any("go back at step 6" in finding.text for finding in verify(tmp_path))
