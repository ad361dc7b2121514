"""The commit protocol: whatever happens between its lines, a unit is there whole and once, or not at all."""

import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from storage.datasets.commit import Attempt, holds, is_committed, leftovers
from storage.datasets.manifest import Manifest, read_manifest
from storage.datasets.unit_paths import STAGING, Sink
from storage.errors import CorruptFileError
from storage.outcomes import Dropped
from storage.shards.record import ShardRecord
from storage.shards.writer import ShardWriter
from storage.testing import tiny_episode

UNIT = "unit-1"


def test_a_unit_is_visible_after_its_manifest_and_not_before(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    with Attempt(sink, UNIT) as attempt:
        record = _write(attempt.path)
        assert not is_committed(sink, UNIT)
        assert not sink.shard(UNIT).exists()
        assert attempt.publish(_manifest(record))
    assert is_committed(sink, UNIT)
    assert holds(sink.shard(UNIT), record)


def test_an_attempt_leaves_nothing_staged(tmp_path: Path) -> None:
    with Attempt(Sink(tmp_path), UNIT) as attempt:
        attempt.publish(_manifest(_write(attempt.path)))
    with Attempt(Sink(tmp_path), "unit-2") as attempt:
        _write(attempt.path)
    assert list((tmp_path / STAGING).iterdir()) == []
    assert not is_committed(Sink(tmp_path), "unit-2")


def test_the_first_of_two_attempts_wins_and_stays_as_it_is(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    with Attempt(sink, UNIT) as slow, Attempt(sink, UNIT) as fast:
        late, early = _write(slow.path, seed=2), _write(fast.path, seed=1)
        assert fast.publish(_manifest(early))
        assert not slow.publish(_manifest(late))
    assert read_manifest(sink.manifest(UNIT)).shard == early
    assert holds(sink.shard(UNIT), early)


def test_an_attempt_behind_a_dead_one_takes_its_equal_shard_as_its_own(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    _die_between_rename_and_manifest(sink, seed=1)
    inode = sink.shard(UNIT).stat().st_ino
    with Attempt(sink, UNIT) as attempt:
        assert attempt.publish(_manifest(_write(attempt.path, seed=1)))
    assert sink.shard(UNIT).stat().st_ino == inode
    assert holds(sink.shard(UNIT), read_manifest(sink.manifest(UNIT)).shard)  # type: ignore[arg-type]


def test_an_attempt_behind_a_dead_one_replaces_its_damaged_shard(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    _die_between_rename_and_manifest(sink, seed=1)
    victim = next(path for path in sink.shard(UNIT).rglob("*") if path.is_file())
    victim.write_bytes(victim.read_bytes()[:-1])
    with Attempt(sink, UNIT) as attempt:
        assert attempt.publish(_manifest(_write(attempt.path, seed=1)))
    assert holds(sink.shard(UNIT), read_manifest(sink.manifest(UNIT)).shard)  # type: ignore[arg-type]


def test_a_zombie_cannot_change_a_committed_unit(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    zombie = Attempt(sink, UNIT)
    zombie.__enter__()
    late = _write(zombie.path, seed=9)
    with Attempt(sink, UNIT) as attempt:
        attempt.publish(_manifest(_write(attempt.path, seed=1)))
    before = sink.manifest(UNIT).read_bytes()
    assert not zombie.publish(_manifest(late))
    zombie.__exit__(None, None, None)
    assert sink.manifest(UNIT).read_bytes() == before


def test_many_processes_that_publish_one_unit_at_once_leave_one(tmp_path: Path) -> None:
    processes = 6
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(processes)
    workers = [context.Process(target=_race, args=(tmp_path, seed, barrier)) for seed in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * processes
    record = read_manifest(Sink(tmp_path).manifest(UNIT)).shard
    assert record is not None
    assert holds(Sink(tmp_path).shard(UNIT), record)
    assert list((tmp_path / STAGING).iterdir()) == []


def test_what_does_not_read_back_is_not_published(tmp_path: Path) -> None:
    with Attempt(Sink(tmp_path), UNIT) as attempt:
        record = _write(attempt.path)
        video = next(path for path in (attempt.path / "video").rglob("*") if path.is_file() and path.suffix != ".json")
        os.truncate(video, video.stat().st_size - 5)
        with pytest.raises(CorruptFileError):
            attempt.publish(_manifest(record))
    assert not is_committed(Sink(tmp_path), UNIT)


def test_a_unit_of_which_nothing_was_kept_is_committed_by_its_manifest_alone(tmp_path: Path) -> None:
    drop = Dropped(episode_id="e", reason="too dark", score=0.1, detail={"frame": 3})
    with Attempt(Sink(tmp_path), UNIT) as attempt:
        attempt.publish(Manifest(unit_id=UNIT, job="job", config_hash="c", dropped=(drop,)))
    manifest = read_manifest(Sink(tmp_path).manifest(UNIT))
    assert (manifest.shard, manifest.dropped) == (None, (drop,))
    assert not Sink(tmp_path).shard(UNIT).exists()


def test_shards_and_labels_of_one_unit_do_not_meet(tmp_path: Path) -> None:
    for name in ("shards", "labels/idm"):
        sink = Sink(tmp_path, name)
        with Attempt(sink, UNIT) as attempt:
            record = _write(attempt.path)
            assert attempt.publish(Manifest(unit_id=UNIT, job="j", config_hash="c", sink=name, shard=record))
    assert Sink(tmp_path).committed() == Sink(tmp_path, "labels/idm").committed() == {UNIT}


def test_leftovers_are_what_is_staged_and_shards_without_a_manifest(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    with Attempt(sink, "unit-2") as attempt:
        attempt.publish(Manifest(unit_id="unit-2", job="j", config_hash="c", shard=_write(attempt.path)))
    _die_between_rename_and_manifest(sink, seed=1)
    dead = Attempt(sink, "unit-3")
    dead.__enter__()
    assert {path.name.split(".")[0] for path in leftovers(tmp_path, older_than_s=0)} == {"unit-1", "shards"}
    assert leftovers(tmp_path) == [], "what changed within the hour may belong to a run"


def _die_between_rename_and_manifest(sink: Sink, *, seed: int) -> None:
    with Attempt(sink, UNIT) as attempt:
        _write(attempt.path, seed=seed)
        sink.shards.mkdir(parents=True, exist_ok=True)
        attempt.path.rename(sink.shard(UNIT))


def _race(root: Path, seed: int, barrier: Barrier) -> None:
    with Attempt(Sink(root), UNIT) as attempt:
        manifest = _manifest(_write(attempt.path, seed=seed))
        barrier.wait()
        attempt.publish(manifest)


def _write(path: Path, *, seed: int = 0) -> ShardRecord:
    with ShardWriter(path, unit_id=UNIT) as writer:
        writer.add(tiny_episode(seed))
        return writer.close()


def _manifest(record: ShardRecord) -> Manifest:
    return Manifest(unit_id=UNIT, job="job", config_hash="c", shard=record)
