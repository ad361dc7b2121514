"""What a training run is asked for and what comes of it: the vocabulary of `groot.fit`."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from storage.errors import ConfigError

Batch = Any
"""Tensors or numpy arrays, in any nest of dicts, lists and tuples."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run stands: batches drawn so far by each process, and which process of how many is asking."""

    step: int = 0
    process: int = 0
    processes: int = 1


BatchSource = Callable[[Position], Iterator[Batch]]
"""Gives the endless stream of batches from a position on; equal positions must give equal streams."""
LossFunction = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
"""Gives the scalar "loss" to be minimised, and any other scalars to be logged; runs inside autocast under bf16."""
Validation = Callable[[nn.Module], Mapping[str, float]]
"""Measures a model (in eval mode, without gradients, averaged weights in place) on held-out episodes."""
StopRule = Callable[[int, Mapping[str, float]], str]
"""Given the step and the validation's figures: the reason to stop the run, or "" to go on."""
Inspection = Callable[[Batch], Iterable[str]]
"""Looks at one of the first batches and says what is wrong with it (see groot.target_checks)."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to train. A step is one update of the weights, made from `accumulate` batches a process. The `precision`
    "auto" is bf16 where the device multiplies it in hardware, and float32 elsewhere, where bf16 is ten times slower."""

    steps: int
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.95, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 1e-5
    warm_up_share: float = 0.05
    schedule: Literal["cosine", "constant"] = "cosine"
    gradient_norm: float = 1.0
    accumulate: int = 1
    precision: Literal["float32", "bf16", "auto"] = "float32"
    average_decay: float = 0.0
    compile: bool = False
    seed: int = 0
    log_every: int = 50
    validate_every: int = 0
    save_every: int = 0
    inspect_batches: int = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        checks = {
            "steps": self.steps >= 1,
            "learning_rate": self.learning_rate > 0,
            "warm_up_share": 0 <= self.warm_up_share < 1,
            "schedule": self.schedule in ("cosine", "constant"),
            "gradient_norm": self.gradient_norm > 0,
            "accumulate": self.accumulate >= 1,
            "precision": self.precision in ("float32", "bf16", "auto"),
            "device": self.device in ("auto", "cpu", "cuda"),
            "average_decay": 0 <= self.average_decay < 1,
            "log_every": self.log_every >= 1,
        }
        for name, good in checks.items():
            if not good:
                raise ConfigError(f"FitConfig.{name} is out of range: {getattr(self, name)!r}")

    def rate_at(self, step: int) -> float:
        """Learning rate of update `step` (0-based): linear warm-up, then cosine to zero or constant."""
        warm_up = max(1, round(self.steps * self.warm_up_share))
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        if self.schedule == "constant":
            return self.learning_rate
        share = (step - warm_up) / max(1, self.steps - warm_up)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What came of a run. `figures` are the last validation's; `history` one record per logged step."""

    steps: int
    stopped: str
    figures: Mapping[str, float]
    findings: tuple[str, ...]
    history: tuple[Mapping[str, float], ...]
    wall_s: float
