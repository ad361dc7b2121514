"""What has grown is labelled and imported again under the same name, and only what is new is worked on."""

from collections import Counter
from pathlib import Path

import pytest

from pipelines.job import Job, UnitItems
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import resume, run_job
from pipelines.testing.tiny_jobs import check_run, content_of
from storage.datasets.dataset import Dataset
from storage.errors import AlreadyWrittenError
from storage.testing import assert_sound


def numbers_job(name: str, numbers: list[int], *, named: bool = True) -> Job:
    items = [{"seed": n, **({"episode_id": f"tiny-{n:06d}"} if named else {})} for n in numbers]
    units = tuple(UnitItems(items=tuple(items[at : at + 2])) for at in range(0, len(items), 2))
    return Job(name=name, stages=(("tiny_source", {}),), units=units)


def label(root: Path) -> int:
    dataset = Dataset.open(root)
    stages = (("read_unit", {}), ("tiny_label", {}))
    fields = fields_of(dataset)
    job = Job(name="label", stages=stages, units=label_units(dataset), sink="labels/tiny", provides=fields)
    return run_job(root, job).tally.kept


def test_a_data_set_that_grew_is_labelled_again_under_the_same_name(tmp_path: Path) -> None:
    run_job(tmp_path, numbers_job("first", [0, 1, 2]))
    assert label(tmp_path) == 3
    before = content_of(tmp_path)
    run_job(tmp_path, numbers_job("second", [3, 4]))
    assert label(tmp_path) == 5
    assert label(tmp_path) == 5
    assert before.items() <= content_of(tmp_path).items(), "what was labelled stays as it was"
    resume(tmp_path)
    check_run(tmp_path)
    assert_sound(tmp_path)


def test_a_folder_that_grew_is_imported_again_under_the_same_name(tmp_path: Path) -> None:
    run_job(tmp_path, numbers_job("import", [0, 1, 2]))
    assert run_job(tmp_path, numbers_job("import", [0, 1, 2, 3, 4])).tally.kept == 5
    assert run_job(tmp_path, numbers_job("import", [0, 1])).tally.kept == 5
    ids = Counter(Dataset.open(tmp_path).index.table["episode_id"].to_pylist())
    assert ids == Counter(f"tiny-{number:06d}" for number in range(5))
    check_run(tmp_path)
    assert_sound(tmp_path)


def test_other_work_of_the_same_name_is_refused(tmp_path: Path) -> None:
    run_job(tmp_path, numbers_job("first", [0, 1, 2], named=False))
    assert run_job(tmp_path, numbers_job("first", [0, 1, 2], named=False)).tally.kept == 3
    with pytest.raises(AlreadyWrittenError, match="Give the job a new name"):
        run_job(tmp_path, numbers_job("first", [3, 4], named=False))
