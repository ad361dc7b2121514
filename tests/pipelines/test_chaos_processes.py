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

import pytest

from pipelines.chaos import Chaos
from pipelines.job import Policy
from pipelines.testing import check_run, content_of
from storage.sinks import STAGING, Sink

pytestmark = pytest.mark.slow

Drive = Callable[[Path, Chaos], subprocess.Popen[str]]
Undisturbed = Callable[[Chaos], dict[str, str]]
POISON = 3
"""The item that misbehaves; it is in the second unit of six."""


def test_ten_workers_killed_at_random_moments_lose_nothing(
    tmp_path: Path, drive: Drive, undisturbed: Undisturbed
) -> None:
    root = tmp_path / "data"
    chaos = Chaos(wild={"pause_s": 0.4}, units=40, engine="ray", workers=2)
    driver = drive(root, chaos)
    chance = random.Random(7)
    for _ in range(10):
        _kill_a_worker(root, driver, chance)
        time.sleep(chance.uniform(0.0, 3.0))
    said, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    check_run(root)
    assert json.loads(said)[0]["dead_letters"] == []
    assert content_of(root) == undisturbed(chaos)


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("on_gpu", [False, True], ids=["task", "actor"])
@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ("segfault", "ProcessDied", "Segmentation fault"),
        ("kill", "ProcessDied", "killed from outside"),
        ("leave", "ProcessDied", "left without a word"),
        ("hang", "ProcessDied", "longer than unit_timeout_s"),
        ("exit", "SystemExit", "3"),
        ("strange", "StrangeError", "no pickle takes me"),
    ],
)
def test_a_poison_unit_becomes_a_dead_letter_and_takes_no_other_with_it(
    tmp_path: Path, undisturbed: Undisturbed, fault: str, error: str, text: str, on_gpu: bool
) -> None:
    root = tmp_path / "data"
    policy = Policy(attempts=2, max_failed_fraction=0.5, unit_timeout_s=5.0 if fault == "hang" else 600.0)
    chaos = Chaos(wild={"fault": fault, "seeds": [POISON]}, on_gpu=on_gpu, policy=policy, engine="ray")
    (result,) = chaos.run(root)
    check_run(root)
    (letter,) = result.dead_letters
    assert letter.error == error
    assert text in letter.message
    if fault in ("segfault", "hang", "strange"):
        assert "wild_stage.py" in letter.traceback
    expected = undisturbed(chaos)
    del expected[f"shards/{letter.unit_id}"]
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
