"""A training run that is killed at any moment and started again gives what the run gives that was not, to the bit."""

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from groot.training.fit_policy import fit_policy
from groot.training.policy_config import GrootFitConfig
from storage.testing import tiny_dataset

STEPS = 30


def config_of(data: Path, *, workers: int) -> GrootFitConfig:
    base = GrootFitConfig.of_preset("tiny", (str(data),))
    fit = replace(base.fit, steps=STEPS, save_every=3, average_decay=0.9, device="cpu")
    return replace(base, fit=fit, workers=workers)


def train(data: Path, folder: Path, workers: int) -> None:
    fit_policy(config_of(data, workers=workers), folder, tensorboard=False)


def steps_saved(folder: Path) -> int:
    return max((int(path.name.partition("-")[2]) for path in (folder / "training").glob("state-*")), default=0)


def killed_within(data: Path, folder: Path, workers: int) -> int:
    """Start the run in a process, kill it after a random step, and say how far it had come."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=(data, folder, workers))
    process.start()
    assert process.pid
    wanted = steps_saved(folder) + random.randint(1, STEPS // 2)
    while steps_saved(folder) < wanted and process.is_alive():
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.03))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return steps_saved(folder)


@pytest.mark.parametrize(
    ("kills", "workers"), [(1, 0), pytest.param(3, 2, marks=pytest.mark.slow)], ids=["once", "again and again"]
)
def test_a_run_killed_at_any_moment_and_started_again_equals_one_that_was_not(
    tmp_path: Path, kills: int, workers: int
) -> None:
    data = tiny_dataset(tmp_path / "d", cameras=("front",)).root
    reached = [killed_within(data, tmp_path / "killed", workers) for _ in range(kills)]
    assert all(0 < step < STEPS for step in reached[:1]), reached
    train(data, tmp_path / "killed", workers)
    train(data, tmp_path / "whole", workers)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole"))
    assert one == other, f"killed after the steps {reached}"
