"""A run that is killed at any of its writes leaves something that the same command finishes."""

import signal
from pathlib import Path

import pytest

from pipelines.run_job import run_job
from pipelines.testing.killed import in_child
from pipelines.testing.tiny_jobs import check_run, load_test_stages, tiny_job
from storage.datasets.clean import clean
from storage.datasets.dataset import Dataset
from storage.testing import assert_sound


def run(root: Path) -> None:
    run_job(root, tiny_job())


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory) -> int:
    load_test_stages()
    status, count = in_child(lambda: run(tmp_path_factory.mktemp("whole") / "data"))
    assert status == 0
    return count


@pytest.mark.parametrize("part", [*range(10), *(pytest.param(part, marks=pytest.mark.slow) for part in range(10, 200))])
def test_the_same_command_finishes_a_run_that_was_killed(part: int, writes: int, tmp_path: Path) -> None:
    root = tmp_path / "data"
    place = part * writes // 10 if part < 10 else part - 10
    if place >= writes:
        pytest.skip("this run has fewer writes")
    assert in_child(lambda: run(root), dies_at=place)[0] == -signal.SIGKILL
    assert in_child(lambda: run(root))[0] == 0
    clean(root, older_than_s=0.0)
    Dataset.open(root)
    check_run(root)
    assert_sound(root)
