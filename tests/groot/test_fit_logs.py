"""What the loop leaves behind besides weights, and how it runs elsewhere."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from groot.fit import FitConfig, Position, fit

CONFIG = FitConfig(steps=4, learning_rate=1e-2, log_every=1)


def batches(position: Position) -> Iterator[Mapping[str, Any]]:
    step = position.step
    while True:
        x = np.random.default_rng([step, position.process]).normal(size=(8, 3)).astype(np.float32)
        yield {"x": x, "y": x.sum(axis=1, keepdims=True)}
        step += 1


def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
    return {"loss": ((model(batch["x"]) - batch["y"]) ** 2).mean()}


def test_tensorboard_gets_a_file(tmp_path: Path) -> None:
    fit(nn.Linear(3, 1), CONFIG, loss=loss, batches=batches, folder=tmp_path, tensorboard=True)
    assert list(tmp_path.rglob("events.out.tfevents.*"))


@pytest.mark.slow
def test_a_compiled_run_gives_the_same_losses() -> None:
    histories = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        result = fit(model, replace(CONFIG, compile=compiled), loss=loss, batches=batches)
        histories.append([record["loss"] for record in result.history])
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)


TWO_PROCESSES = """
import os, sys, torch
from pathlib import Path
from torch import nn
from tests.groot.test_fit_logs import CONFIG, batches, loss
from groot.fit import fit
torch.manual_seed(0)
model = nn.Linear(3, 1)
fit(model, CONFIG, loss=loss, batches=batches)
Path(sys.argv[1], os.environ["RANK"]).write_text(f"{model.weight.tolist()} {model.bias.tolist()}")
"""


@pytest.mark.slow
def test_two_processes_hold_equal_weights_and_see_different_batches(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29631"]
    command += [str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = ((tmp_path / rank).read_text() for rank in "01")
    assert first == second
    torch.manual_seed(0)
    alone = nn.Linear(3, 1)
    fit(alone, CONFIG, loss=loss, batches=batches)
    assert first != f"{alone.weight.tolist()} {alone.bias.tolist()}"
