"""Processes that die: killed from outside, or by the very unit that they work on."""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.job import Policy
from pipelines.testing.chaos_job import Chaos
from pipelines.testing.tiny_jobs import check_run, content_of
from storage.datasets.unit_paths import STAGING, Sink

pytestmark = pytest.mark.slow

Drive = Callable[[Path, Chaos], subprocess.Popen[str]]
Undisturbed = Callable[[Chaos], dict[str, str]]


@pytest.mark.parametrize("on_gpu", [False, True], ids=["task", "actor"])
def test_ten_workers_killed_at_random_moments_lose_nothing(
    tmp_path: Path, drive: Drive, undisturbed: Undisturbed, on_gpu: bool
) -> None:
    root = tmp_path / "data"
    pretended = {"on_gpu": True, "pretended_gpus": 1} if on_gpu else {}
    chaos = Chaos(wild={"pause_s": 0.4}, units=40, engine="ray", workers=2, **pretended)
    driver = drive(root, chaos)
    chance = random.Random(7)
    for _ in range(10):
        _kill_a_worker(root, driver, chance)
        time.sleep(chance.uniform(0.0, 3.0))
    said, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, said + errors
    check_run(root)
    assert json.loads(said)[0]["dead_letters"] == []
    assert content_of(root) == undisturbed(chaos)


POISON = [
    ("segfault", "ProcessDied", "Segmentation fault"),
    ("kill", "ProcessDied", "killed from outside"),
    ("leave", "ProcessDied", "left without a word"),
    ("hang", "ProcessDied", "longer than unit_timeout_s"),
    ("exit", "SystemExit", "3"),
    ("strange", "StrangeError", "no pickle takes me"),
]


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(("fault", "error", "text"), POISON)
def test_a_poison_unit_becomes_a_dead_letter_and_takes_no_other_with_it(
    tmp_path: Path, undisturbed: Undisturbed, fault: str, error: str, text: str
) -> None:
    chaos = _poisoned(fault, engine="ray")
    (result,) = chaos.run(tmp_path / "data")
    (letter,) = result.dead_letters
    assert letter.error == error
    assert text in letter.message
    assert letter.attempts == (3 if error == "ProcessDied" else 2)
    if fault in ("segfault", "hang", "strange"):
        assert "faulty_stage.py" in letter.traceback
    _check_all_but(letter.unit_id, tmp_path / "data", undisturbed(chaos))


@pytest.mark.parametrize(("fault", "error", "text"), [POISON[0], POISON[2], POISON[4]])
def test_a_poison_unit_in_an_actor_pool_takes_no_other_with_it(
    tmp_path: Path, drive: Drive, undisturbed: Undisturbed, fault: str, error: str, text: str
) -> None:
    chaos = _poisoned(fault, on_gpu=True, engine="ray", pretended_gpus=1, workers=2)
    driver = drive(tmp_path / "data", chaos)
    said, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, said + errors
    (letter,) = json.loads(said)[0]["dead_letters"]
    assert letter["error"] == error
    assert text in letter["message"]
    _check_all_but(letter["unit_id"], tmp_path / "data", undisturbed(chaos))


def _poisoned(fault: str, **chaos: Any) -> Chaos:
    policy = Policy(attempts=2, max_failed_fraction=0.5, unit_timeout_s=5.0 if fault == "hang" else 600.0)
    return Chaos(wild={"fault": fault, "seeds": [3]}, policy=policy, **chaos)


def _check_all_but(unit_id: str, root: Path, expected: dict[str, str]) -> None:
    check_run(root)
    del expected[f"shards/{unit_id}"]
    assert content_of(root) == expected


def _kill_a_worker(root: Path, driver: subprocess.Popen[str], chance: random.Random) -> None:
    """Wait until some process works on a unit, and kill it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert driver.poll() is None, f"the run ended before enough was killed: {driver.communicate()}"
        pids = [pid for path in (root / STAGING).glob("*.recording") for pid in _pids(path)]
        chance.shuffle(pids)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return
        time.sleep(0.05)
    pytest.fail(f"nothing to kill; committed {len(Sink(root).committed())}")


def _pids(path: Path) -> list[int]:
    try:
        return [int(pid) for pid in re.findall(r"as process (\d+)", path.read_text())[-1:]]
    except FileNotFoundError:
        return []
