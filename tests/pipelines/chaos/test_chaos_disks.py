"""Disks that are full, or that can only be read."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.progress.job_counts import Tally
from pipelines.run_job import EngineOptions, resume, run_job
from pipelines.testing.chaos_job import Chaos
from pipelines.testing.tiny_jobs import check_run, content_of
from storage.datasets.unit_paths import Sink
from storage.errors import WorldError

pytestmark = pytest.mark.slow

Undisturbed = Callable[[Chaos], dict[str, str]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_full_disk_ends_the_run_with_one_message_and_resume_goes_on(
    disk: Path, undisturbed: Undisturbed, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("ray_cluster")
    root = disk / "data"
    chaos = Chaos(units=24, engine=engine)
    with pytest.raises(WorldError, match=r"its data set cannot be written.*[Nn]o space left on device.*then resume"):
        chaos.run(root)
    check_run(root, ended=False)
    assert 0 < len(Sink(root).committed()) < 24
    assert not Sink(root).dead(), "no unit is to blame for a full disk"
    _remount(disk, "size=64m")
    (result,) = resume(root, options=EngineOptions(engine=engine))
    check_run(root)
    assert result.complete
    assert content_of(root) == undisturbed(chaos)


def test_an_output_that_turns_read_only_ends_the_run_and_resume_goes_on(disk: Path, undisturbed: Undisturbed) -> None:
    class TurnsReadOnly:
        def begin(self, tally: Tally) -> None: ...
        def changed(self, tally: Tally) -> None:
            if tally.committed_units == 3:
                _remount(disk, "ro")

        def end(self, tally: Tally) -> None: ...

    _remount(disk, "size=64m")
    root, chaos = disk / "data", Chaos(units=8)
    with pytest.raises(WorldError, match="its data set cannot be written"):
        run_job(root, chaos.job(), EngineOptions(progress=TurnsReadOnly()))
    with pytest.raises(WorldError, match="cannot be written: read-only, or the disk is full"):
        resume(root)
    check_run(root, ended=False)
    assert len(Sink(root).committed()) == 3
    _remount(disk, "rw")
    resume(root)
    check_run(root)
    assert content_of(root) == undisturbed(chaos)


def _remount(place: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)
