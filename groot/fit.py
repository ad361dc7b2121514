"""The training loop that every model here uses: any module, any loss, any stream of batches.

Accelerate places, synchronises and logs; there is no distributed code of our own. What makes a resumed run equal
to one that never stopped: the learning rate is a function of the step, the batches are a function of the position
(see `Position`), and the random numbers of a step follow from (seed, step, process), so only weights and the
optimiser's moments need to be saved.

Optimiser and schedule: GR00T N1 (arXiv 2503.14734), appendix F: AdamW 0.95/0.999, weight decay 1e-5, cosine after 5 %
warm-up.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from groot.device import device_of, has_bf16
from groot.fit_config import (
    Batch,
    BatchSource,
    FitConfig,
    FitResult,
    Inspection,
    LossFunction,
    Position,
    StopRule,
    Validation,
)
from groot.training.loader_clock import LoaderClock
from groot.training_state import TrainingState, WeightAverage, load_training_state, save_training_state
from storage.errors import ConfigError, WorkFailedError
from storage.ids import content_id

__all__ = [
    "Batch",
    "BatchSource",
    "FitConfig",
    "FitResult",
    "Inspection",
    "LossFunction",
    "Position",
    "StopRule",
    "Validation",
    "as_tensors",
    "fit",
]

log = logging.getLogger(__name__)


def fit(
    model: nn.Module,
    config: FitConfig,
    *,
    loss: LossFunction,
    batches: BatchSource,
    validate: Validation | None = None,
    stop_when: StopRule | None = None,
    inspect: Inspection | None = None,
    folder: Path | None = None,
    identity: Any = (),
    stop_at: int = 0,
    tensorboard: bool = False,
) -> FitResult:
    """Train `model` in place (averaged weights in it at the end when `average_decay` is set).

    With a `folder` the run saves its state every `save_every` steps and at its end, and resumes from the newest state
    found there; a state of another config, or of another `identity` (whatever else makes the run what it is: model,
    data; JSON values or dataclasses), raises ConfigError. `stop_at` ends this call early, after that many updates in
    all. A loss that is NaN or infinite raises WorkFailedError with what was being summed.
    """
    run = _Run(model, config, loss=loss, folder=folder, tensorboard=tensorboard, identity=identity)
    return run.train(batches, validate=validate, stop_when=stop_when, inspect=inspect, stop_at=stop_at or config.steps)


class _Objective(nn.Module):
    """Model and loss as one module, so that any method of the model may be called and gradients still synchronise."""

    def __init__(self, model: nn.Module, loss: LossFunction, *, bf16: bool) -> None:
        super().__init__()
        self.model = model
        self._loss = loss
        self._bf16 = bf16

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bf16):
            return dict(self._loss(self.model, batch))


class _Run:
    def __init__(
        self,
        model: nn.Module,
        config: FitConfig,
        *,
        loss: LossFunction,
        folder: Path | None,
        tensorboard: bool,
        identity: Any,
    ) -> None:
        self.config = config
        self.config_id = content_id(_identity(config), identity) if identity else content_id(_identity(config))
        self.folder = folder
        device = device_of(config.device)
        self.accelerator = Accelerator(
            cpu=device.type == "cpu",
            gradient_accumulation_steps=config.accumulate,
            log_with="tensorboard" if tensorboard and folder else None,
            project_dir=str(folder) if folder else None,
        )
        if tensorboard and folder:
            self.accelerator.init_trackers("tensorboard")
        self.model = model
        optimizer = torch.optim.AdamW(
            _groups(model, config), lr=config.learning_rate, betas=config.betas, eps=config.epsilon
        )
        objective = _Objective(
            model, loss, bf16=config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
        )
        self.objective, self.optimizer = self.accelerator.prepare(objective, optimizer)
        self.forward = torch.compile(self.objective) if config.compile else self.objective
        self.average = WeightAverage(model, config.average_decay) if config.average_decay else None
        self.history: list[Mapping[str, float]] = []
        self.findings: list[str] = []
        self.clock = LoaderClock()
        self.step = self._resume()

    def _resume(self) -> int:
        state = load_training_state(self.folder, config_id=self.config_id) if self.folder else None
        if state is None:
            return 0
        state.restore(self.model, self.optimizer.optimizer, self.average)
        self.history, self.findings = list(state.history), list(state.findings)
        log.info("resumed from step %d in %s", state.step, self.folder)
        return state.step

    def train(
        self,
        source: BatchSource,
        *,
        validate: Validation | None,
        stop_when: StopRule | None,
        inspect: Inspection | None,
        stop_at: int,
    ) -> FitResult:
        config, accelerator = self.config, self.accelerator
        started, stopped = time.perf_counter(), ""
        self.clock.start(self.step)
        figures: Mapping[str, float] = {}
        position = Position(
            step=self.step * config.accumulate, process=accelerator.process_index, processes=accelerator.num_processes
        )
        stream = source(position)
        end = min(stop_at, config.steps)
        while self.step < end and not stopped:
            scalars = self._update(stream, inspect)
            self.step += 1
            last = self.step == end
            if self.step % config.log_every == 0 or last:
                self._record(scalars, time.perf_counter() - started)
            if validate and (last or (config.validate_every and self.step % config.validate_every == 0)):
                figures = self.validated(validate)
                stopped = stop_when(self.step, figures) if stop_when else ""
            if self.folder and (last or stopped or (config.save_every and self.step % config.save_every == 0)):
                self._save()
        if stopped:
            log.warning("stopped at step %d: %s", self.step, stopped)
        if self.average:
            self.average.put_into(self.model)
        accelerator.end_training()
        return FitResult(
            steps=self.step,
            stopped=stopped,
            figures=figures,
            findings=tuple(self.findings),
            history=tuple(self.history),
            wall_s=time.perf_counter() - started,
        )

    def _update(self, stream: Iterator[Batch], inspect: Inspection | None) -> dict[str, Tensor]:
        config, accelerator = self.config, self.accelerator
        for group in self.optimizer.param_groups:
            group["lr"] = config.rate_at(self.step)
        self.objective.train()
        scalars: dict[str, Tensor] = {}
        for part in range(config.accumulate):
            seed = content_id(config.seed, self.step, part, accelerator.process_index)
            torch.manual_seed(int(seed[:15], 16))
            with self.clock.waiting():
                batch = next(stream)
            if inspect and self.step * config.accumulate + part < config.inspect_batches:
                self._note(inspect(batch))
            with accelerator.accumulate(self.objective):
                scalars = self.forward(send_to_device(as_tensors(batch), accelerator.device))
                self._check(scalars)
                accelerator.backward(scalars["loss"])
                if accelerator.sync_gradients:
                    scalars["gradient_norm"] = torch.as_tensor(
                        accelerator.clip_grad_norm_(self.model.parameters(), config.gradient_norm)
                    )
                self.optimizer.step()
                self.optimizer.zero_grad()
        if self.average:
            self.average.follow(self.model)
        return scalars

    def _check(self, scalars: Mapping[str, Tensor]) -> None:
        if "loss" not in scalars:
            raise ConfigError(f'a loss function returns a mapping with the scalar "loss"; got {sorted(scalars)}')
        # Asking a GPU for a number waits for it: there, only when the numbers are about to be logged.
        due = self.accelerator.device.type == "cpu" or (self.step + 1) % self.config.log_every == 0
        if due and not bool(torch.isfinite(scalars["loss"].detach()).all()):
            parts = ", ".join(f"{name} {float(value.detach()):.4g}" for name, value in scalars.items())
            so_far = f" Findings so far: {'; '.join(self.findings)}." if self.findings else ""
            raise WorkFailedError(
                f"the loss is not finite at step {self.step}: {parts}."
                f" Look at the targets' normalisation, then lower the learning rate.{so_far}"
            )

    def _note(self, findings: Iterable[str]) -> None:
        for finding in findings:
            if finding not in self.findings:
                self.findings.append(finding)
                log.warning("%s", finding)

    def _record(self, scalars: Mapping[str, Tensor], seconds: float) -> None:
        record = {name: float(value.detach()) for name, value in scalars.items()}
        record |= {"step": float(self.step), "learning_rate": self.config.rate_at(self.step - 1)}
        record |= self.clock.figures(self.step)
        self.history.append(record)
        self.accelerator.log({k: v for k, v in record.items() if k != "step"}, step=self.step)
        text = ", ".join(
            f"{name} {value:.4g}" for name, value in record.items() if name not in ("step", "learning_rate")
        )
        log.info("step %d of %d, %.0f s: %s", self.step, self.config.steps, seconds, text)

    def validated(self, validate: Validation) -> Mapping[str, float]:
        kept = self.average.swapped_into(self.model) if self.average else None
        self.model.eval()
        with torch.no_grad():
            figures = {name: float(value) for name, value in validate(self.model).items()}
        self.model.train()
        if self.average and kept is not None:
            self.average.swap_back(self.model, kept)
        self.accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step=self.step)
        log.info("validation at step %d: %s", self.step, ", ".join(f"{n} {v:.4g}" for n, v in figures.items()))
        return figures

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.folder and self.accelerator.is_main_process:
            state = TrainingState.of(self.model, self.optimizer.optimizer, self.average)
            save_training_state(
                self.folder,
                state.at(
                    step=self.step,
                    config_id=self.config_id,
                    history=tuple(self.history),
                    findings=tuple(self.findings),
                ),
            )


def _groups(model: nn.Module, config: FitConfig) -> list[dict[str, Any]]:
    """Decay matrices only: vectors (biases, norms, gains) are left alone."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ConfigError("the model has no parameter that may be trained")
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]


def _identity(config: FitConfig) -> dict[str, Any]:
    """What must be equal for a run to be continued: all but how often it reports, saves and validates."""
    quiet = {"log_every", "validate_every", "save_every", "inspect_batches", "compile", "device"}
    return {name: value for name, value in asdict(config).items() if name not in quiet}


def as_tensors(batch: Batch) -> Batch:
    """`batch` with its numpy arrays as tensors on the same memory."""
    if isinstance(batch, np.ndarray):
        return torch.from_numpy(batch)
    if isinstance(batch, Mapping):
        return {name: as_tensors(value) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(as_tensors(value) for value in batch)
    return batch
