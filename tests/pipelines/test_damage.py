"""A run says that what it kept is damaged, and makes it again when it is told to."""

import shutil
from pathlib import Path

import pytest

from pipelines.run_job import resume, run_job
from pipelines.testing.tiny_jobs import content_of, load_test_stages, tiny_job
from storage.datasets.unit_paths import Sink
from storage.errors import CorruptFileError, MissingFileError
from storage.testing import assert_sound
from storage.verification.repair import repair
from storage.verification.verify import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    load_test_stages()
    run_job(tmp_path / "data", tiny_job())
    return tmp_path / "data"


def damage(root: Path, how: str) -> None:
    unit_id = sorted(Sink(root).committed())[1]
    shard = Sink(root).shard(unit_id)
    if how == "deleted":
        shutil.rmtree(shard)
    elif how == "cut":
        file = max((path for path in shard.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        file.write_bytes(file.read_bytes()[:-5])
    else:
        Sink(root).manifest(unit_id).write_text("{")


@pytest.mark.parametrize("how", ["deleted", "cut", "manifest"])
def test_resume_refuses_damage_and_finishes_after_a_repair(root: Path, how: str) -> None:
    before = content_of(root)
    damage(root, how)
    with pytest.raises(CorruptFileError, match="pyramid data repair"):
        resume(root)
    assert len(repair(root).units) == 1
    resume(root)
    shutil.rmtree(root / "_staging", ignore_errors=True)
    assert content_of(root) == before
    assert_sound(root)


def test_a_plan_that_is_gone_is_missed_and_planned_again_by_the_same_command(root: Path) -> None:
    next((root / "plan").glob("tiny-*.parquet")).unlink()
    with pytest.raises(MissingFileError, match="the plan of job 'tiny' is missing"):
        resume(root)
    run_job(root, tiny_job())
    assert_sound(root)


def test_a_job_file_that_is_gone_while_units_are_open_is_missed(root: Path) -> None:
    unit_id = sorted(Sink(root).committed())[0]
    Sink(root).manifest(unit_id).unlink()
    (root / "plan/tiny.json").unlink()
    assert any("plan/tiny.json is not there" in finding.text for finding in verify(root))
    with pytest.raises(MissingFileError, match="the command that started the job writes it again"):
        resume(root)
    run_job(root, tiny_job())
    assert_sound(root)
