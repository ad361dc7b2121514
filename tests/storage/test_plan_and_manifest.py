"""The small files around shards: plans, manifests, dead letters, and how they get onto the disk."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.atomic_files import read_json, sealed_json_bytes, write_once, write_whole
from storage.datasets.dead_letters import DeadLetter, bury, read_dead_letters, write_dead_letter
from storage.datasets.manifest import Manifest, StageRecord, read_manifest, write_manifest
from storage.datasets.plan import WorkUnit, plan_files, plan_path, read_plan, read_plans, write_plan
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import AlreadyWrittenError, ConfigError, CorruptFileError, MissingFileError, SchemaVersionError
from storage.outcomes import Dropped
from storage.shards.record import FileRecord, ShardRecord

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ITEMS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=3)


@settings(deadline=None, max_examples=30)
@given(groups=st.lists(ITEMS, min_size=1, max_size=5))
def test_a_plan_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[dict[str, object]]]
) -> None:
    root = tmp_path_factory.mktemp("plan")
    units = _units(len(groups), items=groups)
    write_plan(root, units)
    assert read_plans(root) == units


def test_a_plan_never_changes(tmp_path: Path) -> None:
    write_plan(tmp_path, _units(2))
    write_plan(tmp_path, _units(2))
    with pytest.raises(AlreadyWrittenError, match="a plan never changes"):
        write_plan(tmp_path, _units(3))
    assert read_plans(tmp_path) == _units(2)


def test_rounds_of_jobs_are_read_in_order(tmp_path: Path) -> None:
    for job, number in (("b", 0), ("a", 10), ("a", 2)):
        write_plan(tmp_path, _units(1, job=job, round_number=number))
    assert [path.stem for path in plan_files(tmp_path)] == ["a-002", "a-010", "b-000"]
    assert [unit.round for unit in read_plans(tmp_path, "a")] == [2, 10]


@pytest.mark.parametrize("name", ["", "Upper", "with space", "a/b", "../a", "job-001", "-a"])
def test_a_name_that_would_make_a_bad_file_is_no_job(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="a job is named"):
        write_plan(tmp_path, _units(1, job=name))


def test_a_unit_is_planned_once_in_a_round(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each unit once"):
        write_plan(tmp_path, (*_units(1), *_units(1)))


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    path = write_plan(tmp_path, _units(2))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFileError, match=r"a-000\.parquet is not a readable plan"):
        read_plan(plan_path(tmp_path, "a"))


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = _manifest()
    assert write_manifest(tmp_path, manifest)
    assert read_manifest(Sink(tmp_path, manifest.sink).manifest(manifest.unit_id)) == manifest


def test_the_first_manifest_of_a_unit_stays(tmp_path: Path) -> None:
    write_manifest(tmp_path, _manifest(host="first"))
    assert not write_manifest(tmp_path, _manifest(host="second"))
    assert read_manifest(Sink(tmp_path, "labels/idm").manifest("u")).host == "first"


def test_a_manifest_of_another_version_or_shape_is_refused_by_name(tmp_path: Path) -> None:
    write_manifest(tmp_path, _manifest())
    path = Sink(tmp_path, "labels/idm").manifest("u")
    record = read_json(path)
    path.write_bytes(sealed_json_bytes({**record, "manifest_version": 9}))
    with pytest.raises(SchemaVersionError, match=rf"{path}.*version 1; got 9"):
        read_manifest(path)
    path.write_bytes(sealed_json_bytes({**record, "hosst": "x"}))
    with pytest.raises(CorruptFileError, match="hosst"):
        read_manifest(path)
    path.write_bytes(sealed_json_bytes({**record, "unit_id": "v"}))
    with pytest.raises(CorruptFileError, match="is the manifest of unit v"):
        read_manifest(path)
    path.write_text("{")
    with pytest.raises(CorruptFileError, match="is not valid JSON"):
        read_manifest(path)


def test_a_dead_letter_is_replaced_by_a_later_one_and_buried_by_a_commit(tmp_path: Path) -> None:
    sink = Sink(tmp_path, "labels/idm")
    for attempts in (3, 6):
        write_dead_letter(tmp_path, _letter(attempts))
    assert read_dead_letters(sink) == [_letter(6)]
    assert bury(sink) == 0
    write_manifest(tmp_path, _manifest())
    assert sink.dead() == set()
    assert bury(sink) == 1
    assert list(sink.dead_letters.iterdir()) == []


def test_the_sinks_of_a_data_set_are_its_shards_and_its_labels(tmp_path: Path) -> None:
    assert sinks_of(tmp_path) == [Sink(tmp_path)]
    write_manifest(tmp_path, _manifest())
    assert sinks_of(tmp_path) == [Sink(tmp_path), Sink(tmp_path, "labels/idm")]


@pytest.mark.parametrize("name", ["", "shard", "labels", "labels/", "labels/../x", "labels/a/b"])
def test_a_sink_that_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="a sink is"):
        Sink(tmp_path, name)


def test_writing_once_keeps_the_first_and_writing_whole_the_last(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    assert write_once(path, b"first")
    assert not write_once(path, b"second")
    assert path.read_bytes() == b"first"
    write_whole(path, b"third")
    assert path.read_bytes() == b"third"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_file_that_is_no_json_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="missing is not there"):
        read_json(tmp_path / "missing")
    (tmp_path / "list").write_text("[]")
    with pytest.raises(CorruptFileError, match="must hold a JSON object; got list"):
        read_json(tmp_path / "list")


def _units(
    number: int, *, job: str = "a", round_number: int = 0, items: list[list[dict[str, object]]] | None = None
) -> tuple[WorkUnit, ...]:
    return tuple(
        WorkUnit(
            unit_id=f"{job}-{round_number}-{place}",
            job=job,
            round=round_number,
            items=tuple(items[place]) if items else ({"seed": place},),
            inputs={"file": "hash"},
            seed=7,
            config_hash="c",
        )
        for place in range(number)
    )


def _manifest(host: str = "here") -> Manifest:
    shard = ShardRecord(
        episodes=({"episode_id": "e", "length": 3},),
        files=(FileRecord(path="state/c/0/0", bytes=12, crc32c=4_000_000_000),),
        statistics={"panda": {"state": {"count": 3}}},
        steps=3,
        bytes=12,
    )
    return Manifest(
        unit_id="u",
        job="job",
        config_hash="c",
        seed=2**40,
        sink="labels/idm",
        shard=shard,
        dropped=(Dropped(episode_id="d", reason="dark", score=0.25, detail={"frame": 1}),),
        stages=(
            StageRecord(name="s", version=2, wall_s=0.5, cpu_s=0.25, inputs=2, kept=1, dropped={"dark": 1}, bytes=9),
        ),
        host=host,
        versions={"python": "3.11"},
        counters={"peak_memory_bytes": 1e9},
    )


def _letter(attempts: int) -> DeadLetter:
    return DeadLetter(
        unit_id="u", job="job", sink="labels/idm", stage="s", attempts=attempts, host="h", error="E", message="m"
    )
