"""The state of a training run on disk, without a pickle: weights, averaged weights and the optimiser's moments as
safetensors, the rest as JSON. Each save is a new folder `state-<step>`, renamed into place; only then the older go."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groot.checkpoint import load_tensors, put_tensors, save_tensors
from storage.errors import ConfigError

_PREFIX = "state-"


class WeightAverage:
    """An exponential moving average of a model's trainable parameters; its decay warms up as (1 + n) / (10 + n)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in model.named_parameters():
            if name in self.values:
                self.values[name].lerp_(parameter.detach().to(self.values[name].device), 1 - decay)

    @torch.no_grad()
    def put_into(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            if name in self.values:
                parameter.copy_(self.values[name])

    def swapped_into(self, model: nn.Module) -> dict[str, Tensor]:
        """Put the average into `model`; returns its own weights for `swap_back`."""
        own = {n: p.detach().clone() for n, p in model.named_parameters() if n in self.values}
        self.put_into(model)
        return own

    @torch.no_grad()
    def swap_back(self, model: nn.Module, own: Mapping[str, Tensor]) -> None:
        for name, parameter in model.named_parameters():
            if name in own:
                parameter.copy_(own[name])


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything that a run needs to go on as if it had never stopped."""

    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    average_updates: int = 0
    step: int = 0
    config_id: str = ""
    history: tuple[Mapping[str, float], ...] = ()
    findings: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None) -> "TrainingState":
        moments = {
            f"{index}.{name}": torch.as_tensor(value)
            for index, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        return cls(
            weights=model.state_dict(),
            moments=moments,
            average=average.values if average else {},
            average_updates=average.updates if average else 0,
        )

    def at(self, **place: Any) -> "TrainingState":
        """This state with step, config id, history and findings filled in."""
        return replace(self, **place)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None) -> None:
        """Put everything back where it came from."""
        put_tensors(model, self.weights, source="the saved training state")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self.moments.items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        if average:
            average.updates = self.average_updates
            for name, value in self.average.items():
                average.values[name].copy_(value)


def save_training_state(folder: Path, state: TrainingState) -> None:
    """Write `state` into `folder`, whole or not at all, and remove older ones."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{_PREFIX}{state.step:08d}"
    older = [path for path in _states(folder) if path != target]
    staging = Path(tempfile.mkdtemp(prefix=".state.", dir=folder))
    try:
        for name in ("weights", "moments", "average"):
            save_tensors(staging / f"{name}.safetensors", getattr(state, name))
        rest = {name: getattr(state, name) for name in ("average_updates", "step", "config_id", "history", "findings")}
        (staging / "state.json").write_text(json.dumps(rest))
        if target.exists():  # the same step of the same run: the same content
            return
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for path in older:
        shutil.rmtree(path)


def load_training_state(folder: Path, *, config_id: str) -> TrainingState | None:
    """The newest state saved in `folder`, None when there is none; of another config: ConfigError."""
    states = _states(Path(folder))
    if not states:
        return None
    path = states[-1]
    rest = json.loads((path / "state.json").read_text())
    if rest["config_id"] != config_id:
        raise ConfigError(
            f"{path} was saved by a run with another training config; resume with that one or use another folder"
        )
    return TrainingState(
        weights=load_tensors(path / "weights.safetensors"),
        moments=load_tensors(path / "moments.safetensors"),
        average=load_tensors(path / "average.safetensors"),
        average_updates=rest["average_updates"],
        step=rest["step"],
        config_id=rest["config_id"],
        history=tuple(rest["history"]),
        findings=tuple(rest["findings"]),
    )


def _states(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())
