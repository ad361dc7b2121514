"""Fixtures of the pipeline tests: the test stages, and one Ray cluster for all that need one."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.testing.chaos_job import Chaos, load_chaos_stages
from pipelines.testing.tiny_jobs import content_of
from storage.ids import canonical_json

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="session")
def _test_stages() -> None:
    load_chaos_stages()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A cluster of this test run alone, with two CPUs and a GPU that exists in the books only."""
    import ray

    from pipelines.engines import ray_session

    ray_session._be_quiet()
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        object_store_memory=256 * 1024**2,
    )
    yield
    ray.shutdown()


@pytest.fixture
def drive() -> Iterator[Callable[[Path, Chaos], subprocess.Popen[str]]]:
    """Starts a driver in a process of its own, `drive(root, Chaos(...))`. They end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(root: Path, chaos: Chaos) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipelines.testing.chaos_job", str(root), canonical_json(chaos)]
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[[Chaos], dict[str, str]]:
    """What the job of a `Chaos` comes to when nothing goes wrong, by unit."""

    def run(chaos: Chaos) -> dict[str, str]:
        root = tmp_path / "undisturbed"
        replace(chaos, wild={}, engine="local", workers=None, address=None, resume=False).run(root)
        return content_of(root)

    return run
