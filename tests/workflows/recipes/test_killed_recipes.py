"""The law of a whole job: killed at any moments and started again, it leaves the data set of an undisturbed run, and no
unit that was committed is run again."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.engines.options import EngineOptions
from pipelines.progress.job_counts import Tally
from pipelines.testing.killed import in_child
from pipelines.testing.tiny_jobs import content_of
from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import sinks_of
from storage.errors import WorldError
from storage.formats.testing import tiny_lerobot
from storage.ids import file_hash
from storage.testing import assert_sound
from workflows.recipes.recipe import find_recipe, load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe

REPOSITORY = Path(__file__).resolve().parents[3]
TINY_STAGES = REPOSITORY / "pipelines" / "testing" / "tiny_jobs.py"


class Executions:
    """Notes on disk, as they happen, which unit of which job is worked on: a listener to runs, and an audit hook that
    sees the recording that every unit begins with."""

    def __init__(self, file: Path) -> None:
        self._handle = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._job = ""
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".recording") and arguments[1] == "a":
            os.write(self._handle, f"{self._job} {Path(str(arguments[0])).name.split('.')[0]}\n".encode())

    def begin(self, tally: Tally) -> None:
        self._job = tally.job

    def changed(self, tally: Tally) -> None: ...
    def end(self, tally: Tally) -> None: ...
    def said(self, text: str) -> None: ...


def work(recipe: Path, root: Path, log: Path) -> None:
    options = EngineOptions(progress=Executions(log))
    for _ in run_recipe(load_recipe(recipe), RunContext(root=root, seed=3, options=options)):
        pass


def committed(root: Path) -> set[str]:
    """Job and unit of every commit."""
    return {f"{each.job} {each.unit_id}" for sink in sinks_of(root) for each in read_manifests(sink)}


def whole(root: Path) -> dict[str, str]:
    """What a run is: every unit, every artifact and every selection, as hashes or texts."""
    artifacts = {f"{path.parent.name}/{path.name}": file_hash(path) for path in root.glob("models/*/*.safetensors")}
    selections = {path.name: path.read_text() for path in root.glob("selections/*.json")}
    nested = {f"{path.parent.name}/{name}": value for path in _nested(root) for name, value in content_of(path).items()}
    return {**content_of(root), **artifacts, **selections, **nested}


def _nested(root: Path) -> Iterator[Path]:
    return (path.parent for path in sorted(root.glob("evaluations/*/dataset.json")))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of real steps: recordings, labels, verdicts, a selection, statistics, training batches."""
    folder = tmp_path_factory.mktemp("recipe")
    recordings = tiny_lerobot(folder / "recordings", numbers=range(4), cameras=("ego",))
    steps = [
        {"import": {"name": "real", "path": str(recordings), "episodes_per_unit": 2}},
        {"stages": {"name": "label", "chain": ["tiny_label"], "sink": "labels/tiny"}},
        {"judge": {"kind": "rules"}},
        {"select": {"name": "good"}},
        {"statistics": {}},
        {"read_batches": {"batches": 1, "batch_size": 2, "horizon_steps": 2}},
    ]
    file = folder / "whole.yaml"
    file.write_text(yaml.safe_dump({"name": "whole", "plugins": [str(TINY_STAGES)], "steps": steps}))
    return file


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    """What the recipe comes to, and with how many writes."""
    folder = tmp_path_factory.mktemp("whole")
    status, writes = in_child(lambda: work(recipe, folder / "data", folder / "log"))
    assert status == 0
    return whole(folder / "data"), writes


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20))])
def test_a_whole_job_killed_at_random_moments_gives_the_same_data_and_runs_no_committed_unit_again(
    recipe: Path, undisturbed: tuple[dict[str, str], int], tmp_path: Path, seed: int
) -> None:
    (expected, writes), chance = undisturbed, random.Random(seed)
    root, log, kills = tmp_path / "data", tmp_path / "log", 0
    log.touch()
    while True:
        before, said = committed(root) if root.exists() else set(), len(log.read_text().splitlines())
        status, _ = in_child(lambda: work(recipe, root, log), dies_at=chance.randrange(writes))
        executed = log.read_text().splitlines()[said:]
        assert not before & set(executed)
        assert len(executed) == len(set(executed))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
    assert whole(root) == expected
    assert committed(root) <= set(log.read_text().splitlines())
    assert kills or seed != 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("share", [0.4, 0.8, *(pytest.param(0.1 * n, marks=pytest.mark.slow) for n in (3, 5, 6, 7, 9))])
def test_a_disk_that_fills_half_way_is_named_with_the_step_and_the_job_goes_on_with_more_room(
    recipe: Path, undisturbed: tuple[dict[str, str], int], disk: Path, tmp_path: Path, share: float
) -> None:
    assert in_child(lambda: work(recipe, disk / "measured", tmp_path / "log"))[0] == 0
    used = shutil.disk_usage(disk).used
    shutil.rmtree(disk / "measured")
    _resize(disk, f"{int(share * used) // 1024}k")
    error = tmp_path / "error"

    def until_full() -> None:
        try:
            work(recipe, disk / "data", tmp_path / "log")
        except WorldError as full:
            error.write_text(str(full))

    assert in_child(until_full)[0] == 0
    assert re.match(r"step \d of 6 \(\w+", error.read_text())
    assert re.search(
        "(No space left on device|the disk is full).*the same command goes on from there", error.read_text()
    )
    _resize(disk, "64m")
    before = committed(disk / "data")
    (tmp_path / "log").write_text("")
    assert in_child(lambda: work(recipe, disk / "data", tmp_path / "log"))[0] == 0
    assert not before & set((tmp_path / "log").read_text().splitlines())
    assert whole(disk / "data") == undisturbed[0]


def _resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


SMALL = {"generate": {"keep": 4, "size_px": 64}, "dream": {"count": 2}, "fit": {"steps": 6}, "evaluate": {"scenes": 2}}


@pytest.mark.slow
def test_the_pyramid_killed_at_random_times_is_the_pyramid(tmp_path: Path) -> None:
    written = yaml.safe_load(find_recipe("pyramid").read_text())
    for step in written["steps"]:
        ((kind, settings),) = step.items()
        settings |= SMALL.get(kind, {})
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(written))
    root, began_s = tmp_path / "run", time.monotonic()
    assert _drive(recipe, root).wait() == 0
    # One folder for both: the order in which a fit draws its windows follows from where its data lie.
    took_s, chance, undisturbed = time.monotonic() - began_s, random.Random(5), root.rename(tmp_path / "undisturbed")
    for _ in range(5):
        before = _states(root)
        driver = _drive(recipe, root)
        try:
            driver.wait(timeout=chance.uniform(5.0, 0.6 * took_s))
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
        after = _states(root)
        assert {path: after[path] for path in before} == before
    assert _drive(recipe, root).wait() == 0
    assert whole(root) == whole(undisturbed)
    assert_sound(root)


def _drive(recipe: Path, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workflows", "run", str(recipe), "--output", str(root), "--engine", "local"]
    environment = {name: value for name, value in os.environ.items() if name not in ("VIDEOS", "PYRAMID_REAL_DATA")}
    return subprocess.Popen(command, cwd=REPOSITORY, env={**environment, "PYRAMID_WATCH": "no"})


def _states(root: Path) -> dict[Path, tuple[int, int]]:
    """Commits and finished artifacts: they are never written again."""
    finished = [*root.rglob("manifest/*.json"), *root.glob("models/*/artifact.json")]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in finished}
