"""A run that is killed at any of its writes leaves something that the same command finishes."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.run_job import run_job
from pipelines.testing.tiny_jobs import check_run, load_test_stages, tiny_job
from storage.datasets.clean import clean
from storage.datasets.dataset import Dataset
from storage.testing import assert_sound

_WRITES = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "shutil.rmtree"}


def in_child(work: Callable[[], object], *, dies_at: int = -1) -> tuple[int, int]:
    """Do `work` in a fork that kills itself before its write number `dies_at`; its signal (0: it ended well) and how
    many writes it did."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            count = 0

            def watch(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal count
                if event in _WRITES or (event == "open" and len(arguments) > 2 and _writes(arguments[2])):
                    if count == dies_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    count += 1

            sys.addaudithook(watch)
            work()
            os.write(writer, str(count).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        return os.waitstatus_to_exitcode(status), int(pipe.read() or 0)


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


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
