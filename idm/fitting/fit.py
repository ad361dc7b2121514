"""Fitting an inverse dynamics model to episodes whose actions are known, for one body or several."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from groot.checkpoint import ModelCard, put_tensors
from groot.data_loader import window_batches
from groot.fit import Batch, FitConfig, FitResult
from groot.fit import fit as run_fit
from groot.target_checks import target_findings
from idm.evaluation.evaluate import EvaluateConfig, evaluate
from idm.fitting.batch_norm_statistics import CleanWindows, measure_statistics, predict_windows, statistics_of
from idm.fitting.calibrate import with_calibration
from idm.fitting.fit_controller import fit_controller
from idm.fitting.rates import check_rates
from idm.fitting.targets import EmbodimentTargets
from idm.fitting.windows import Prepare, embodiment_targets
from idm.labelling.controller import Controller, moved_pose
from idm.labelling.label_config import model_folder
from idm.labelling.saved_model import KIND, IdmModel, load_idm, save_idm
from idm.network.losses import IdmLoss, IdmLossConfig
from idm.network.model import Idm, IdmConfig
from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import content_id
from storage.training_reader.config import WindowConfig
from storage.training_reader.training_data import TrainingData
from storage.training_reader.windows import Windows

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class IdmFitConfig:
    """`model.action_sizes` is filled in from the data. `cameras` maps each view of the model to the cameras that may
    fill it, the view's own name by default. After the `fit` come `fixed_norms_share` times as many steps at a fifth of
    its rate with batch norms that hold still (see `idm.fitting.batch_norm_statistics`). `start_from` is the folder of a
    model of the same sizes and embodiments, whose weights and normalisation the fit starts with; "" starts from random
    weights. `familiar_episodes` of the training episodes tell what looks familiar. From at most
    `controller_episodes` of them a model of the controller is fitted in `controller_steps`, where the body has one (see
    `idm.labelling.controller`); with 0 steps there is none."""

    model: IdmConfig = field(default_factory=IdmConfig)
    loss: IdmLossConfig = field(default_factory=IdmLossConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=3000, learning_rate=1e-3, average_decay=0.998, save_every=250)
    )
    cameras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    batch_size: int = 48
    workers: int = 0
    fixed_norms_share: float = 0.2
    familiar_episodes: int = 150
    controller_episodes: int = 600
    controller_steps: int = 12_000
    start_from: str = ""

    def windows(self, *, images: bool) -> WindowConfig:
        """The windows of the training reader; frames beyond a clip's end are no windows."""
        model = self.model
        views = {view: self.cameras.get(view, (view,)) for view in model.views}
        return WindowConfig(
            cameras=views if images else {},
            observation_offsets_s=model.frame_offsets_s,
            state_offsets_s=model.frame_offsets_s,
            horizon_steps=model.chunk_steps,
            horizon_s=model.chunk_s,
            size_px=model.image_px,
            pad_observations=False,
        )


def fit(
    data: Sequence[TrainingData],
    config: IdmFitConfig,
    output: Path,
    *,
    folder: Path | None = None,
    evaluation: EvaluateConfig | None = None,
) -> IdmModel:
    """Fit a model, calibrate it on the held-out episodes, score it crosswise, and write it to `output`.

    `folder` keeps the state of training, so that a run which was stopped goes on. Without held-out episodes the model
    has neither calibration nor scores.
    """
    config = with_known_cameras(data, config)
    check_rates(data, config.model)
    network, shape, targets, result = fit_network(data, config, folder=folder)
    cameras = {view: tuple(config.cameras.get(view, (view,))) for view in shape.views}
    model = IdmModel(network=network, config=shape, targets=targets, cameras=cameras)
    model, metrics = complete(model, data, config, evaluation=evaluation)
    return save_idm(output, model, _card(data, config, result, metrics))


def complete(
    model: IdmModel, data: Sequence[TrainingData], config: IdmFitConfig, *, evaluation: EvaluateConfig | None = None
) -> tuple[IdmModel, dict[str, Any]]:
    """`model` with everything that is fitted beside its network, and its crosswise scores by head."""
    targets, action = model.targets, data[0].action
    evaluation = evaluation or EvaluateConfig()
    held_out = {head: episodes_of(data, head, held_out=True) for head in targets}
    training = {head: episodes_of(data, head, held_out=False, most=config.familiar_episodes) for head in targets}
    model = replace(model, controllers=fit_controllers(data, config, targets))
    model = with_calibration(model, held_out, training, action=action)
    metrics = {
        head: evaluate(model, head, episodes, replace(evaluation, action=action, crosswise=True))
        for head, episodes in held_out.items()
        if len(episodes) >= 2
    }
    return model, metrics


def fit_controllers(
    data: Sequence[TrainingData], config: IdmFitConfig, targets: Mapping[str, EmbodimentTargets]
) -> dict[str, Controller]:
    """How each body answers its commands, for bodies whose actions are changes of a pose."""
    controllers: dict[str, Controller] = {}
    for head, head_targets in targets.items():
        if config.controller_steps and len(moved_pose(head_targets.embodiment)):
            episodes = episodes_of(data, head, held_out=False, most=config.controller_episodes)
            controller = fit_controller(
                head_targets,
                episodes,
                action=data[0].action,
                rate_hz=config.model.rate_hz,
                steps=config.controller_steps,
            )
            controllers |= {head: controller} if controller else {}
    return controllers


def with_known_cameras(data: Sequence[TrainingData], config: IdmFitConfig) -> IdmFitConfig:
    """`config` with a camera for a model of one view whose name no data set knows: any that there is, in the order of
    their names. Several views must be given their cameras."""
    views = config.model.views
    layouts = [layout for each in data for layout in each.dataset.index.layouts]
    there = sorted({name for layout in layouts for name in layout.get("cameras", ())})
    if len(views) != 1 or config.cameras or views[0] in there or not there:
        return config
    log.info("view %r is filled by the first of: %s", views[0], ", ".join(there))
    return replace(config, cameras={views[0]: tuple(there)})


def fit_network(
    data: Sequence[TrainingData], config: IdmFitConfig, *, folder: Path | None = None, stop_at: int = 0
) -> tuple[Idm, IdmConfig, dict[str, EmbodimentTargets], FitResult]:
    """Train the network alone; with a `folder` the run can be resumed from there."""
    targets = embodiment_targets(data, config.windows(images=False))
    start = _start(config, targets)
    targets = dict(start.targets) if start else targets
    all_targets = targets.values()
    shape = replace(
        config.model,
        action_sizes=tuple(head_targets.size for head_targets in all_targets),
        state_sizes=tuple(head_targets.state_size for head_targets in all_targets),
    )
    splits = [(each, *each.episodes()) for each in data]
    train = Windows([each.source(ids) for each, ids, _ in splits if ids], config.windows(images=True))
    held_out = [each.source(ids) for each, _, ids in splits if ids]
    validation = Windows(held_out, config.windows(images=True)) if held_out else None
    torch.manual_seed(config.fit.seed)
    network = Idm(shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start:
        put_tensors(network, start.network.state_dict(), source=config.start_from)
    prepare = Prepare(shape, train.embodiments, targets)
    clean = CleanWindows(train, prepare, batch_size=config.batch_size, seed=config.fit.seed)

    last = _last_stretch(config)

    def run(stage: FitConfig, loss: IdmLossConfig, folder: Path | None, stop_at: int = 0) -> FitResult:
        return run_fit(
            network,
            stage,
            loss=IdmLoss(loss),
            batches=window_batches(
                train, batch_size=config.batch_size, prepare=prepare, seed=stage.seed, workers=config.workers
            ),
            validate=Validate(validation, shape, targets, clean) if validation else None,
            inspect=Inspect(targets),
            folder=folder,
            identity=(shape, loss, config.batch_size, [sorted(ids) for _, ids, _ in splits], *_identity(start)),
            stop_at=stop_at,
        )

    result = run(config.fit, config.loss, folder, stop_at)
    if result.steps == config.fit.steps:
        measure_statistics(network, clean)
        network.holds_norms = True
        if last:
            result = _both(result, run(last, _with_clean_windows(config.loss), folder / "settled" if folder else None))
    return network.eval(), shape, targets, result


def _start(config: IdmFitConfig, targets: Mapping[str, EmbodimentTargets]) -> IdmModel | None:
    """The model that the fit starts from, None for random weights. Raises ConfigError where its bodies are others."""
    if not config.start_from:
        return None
    start = load_idm(model_folder(config.start_from))
    if set(start.targets) != set(targets):
        raise ConfigError(
            f"a fit that starts from {config.start_from} takes data of the bodies {', '.join(start.targets)};"
            f" got {', '.join(targets)}. Leave out `start_from` to fit other bodies"
        )
    return start


def _identity(start: IdmModel | None) -> tuple[str, ...]:
    return (start.content_hash,) if start else ()


def _last_stretch(config: IdmFitConfig) -> FitConfig | None:
    """The stretch of training with norms that hold still, on windows in another order."""
    steps = round(config.fit.steps * config.fixed_norms_share)
    if not steps:
        return None
    return replace(config.fit, steps=steps, learning_rate=config.fit.learning_rate / 5, seed=config.fit.seed + 1)


def _with_clean_windows(loss: IdmLossConfig) -> IdmLossConfig:
    """`loss` with at most every second window noisy."""
    return replace(loss, augment=replace(loss.augment, noise_share=min(loss.augment.noise_share, 0.5)))


def _both(first: FitResult, second: FitResult) -> FitResult:
    """Two stretches of training as one."""
    return replace(
        second,
        steps=first.steps + second.steps,
        findings=tuple(dict.fromkeys((*first.findings, *second.findings))),
        history=(*first.history, *second.history),
        wall_s=first.wall_s + second.wall_s,
    )


def episodes_of(data: Sequence[TrainingData], head: str, *, held_out: bool, most: int = 0) -> list[Episode]:
    """Training or held-out episodes of a head, in the order of their ids; at most `most` of them, evenly spread over
    all data sets (0: all)."""
    names = [(each, episode_id) for each in data for episode_id in each.ids_of(head, held_out=held_out)]
    if most and len(names) > most:
        names = [names[place] for place in np.linspace(0, len(names) - 1, most).round().astype(int)]
    return [each.dataset.episode(episode_id) for each, episode_id in names]


class Validate:
    """R2 of the motion of held-out windows, by head and kind of number, on at most `limit` windows, with statistics of
    the norms from `clean` windows while the network's own are in flux."""

    def __init__(
        self,
        windows: Windows,
        config: IdmConfig,
        targets: Mapping[str, EmbodimentTargets],
        clean: CleanWindows,
        *,
        limit: int = 1024,
    ) -> None:
        self.windows, self.targets, self.clean = windows, targets, clean
        self.prepare = Prepare(config, windows.embodiments, targets)
        chosen = np.random.default_rng(0).permutation(len(windows))[:limit]
        self.numbers = np.sort(chosen).tolist()

    def __call__(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Idm)
        if model.holds_norms:
            return self._scores(model)
        with statistics_of(model, self.clean):
            return self._scores(model)

    def _scores(self, model: Idm) -> dict[str, float]:
        motion, target, mask, slot = [], [], [], []
        device = next(model.parameters()).device
        for start in range(0, len(self.numbers), 64):
            batch = self.prepare(self.windows.__getitems__(self.numbers[start : start + 64]))
            images = torch.from_numpy(batch["images"]).to(device)
            slots = torch.from_numpy(batch["slot"]).to(device)
            prediction = predict_windows(model, images, slots)
            motion.append(prediction.motion.mean(dim=0).float().cpu().numpy())
            target.append(batch["motion"])
            mask.append(batch["mask"][:, :, None] & batch["regressed"][:, None])
            slot.append(batch["slot"])
        return _r2(
            np.concatenate(motion), np.concatenate(target), np.concatenate(mask), np.concatenate(slot), self.targets
        )


def _r2(
    motion: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_],
    slot: NDArray[Any],
    targets: Mapping[str, EmbodimentTargets],
) -> dict[str, float]:
    figures = {}
    for number, (head, head_targets) in enumerate(targets.items()):
        for kind, dimensions in head_targets.kinds.items():
            scores = []
            for d in dimensions:
                chosen = mask[slot == number][..., d]
                truth, guess = target[slot == number][..., d][chosen], motion[slot == number][..., d][chosen]
                if len(truth) > 1 and truth.var() > 1e-12:
                    scores.append(1 - ((guess - truth) ** 2).mean() / truth.var())
            if scores:
                figures[f"r2/{head}/{kind}"] = float(np.mean(scores))
    return figures


class Inspect:
    """Findings about the first batches, body by body."""

    def __init__(self, targets: Mapping[str, EmbodimentTargets]) -> None:
        self.targets = targets

    def __call__(self, batch: Batch) -> list[str]:
        findings = []
        for slot, (head, head_targets) in enumerate(self.targets.items()):
            rows = batch["slot"] == slot
            if not rows.any():
                continue
            names = [f"{head}.{part.name}[{i}]" for part, _ in head_targets.embodiment.action for i in range(part.size)]
            motion = batch["motion"][rows][:, 1:, : head_targets.size]
            mask = batch["mask"][rows][:, 1:, None] & head_targets.regressed
            findings += target_findings(motion, mask, names=names, limit=8.0)
        return findings


def _card(
    data: Sequence[TrainingData], config: IdmFitConfig, result: FitResult, metrics: Mapping[str, Any]
) -> ModelCard:
    return ModelCard(
        kind=KIND,
        preset=config.model.preset,
        config={},
        data={
            each.dataset.name: {
                "units": content_id(sorted(each.dataset.units())),
                "training_episodes": len(each.episodes()[0]),
                "held_out": sorted(each.episodes()[1]),
                "action": each.action,
            }
            for each in data
        },
        training={
            "fit": asdict(config.fit),
            "loss": asdict(config.loss),
            "batch_size": config.batch_size,
            "findings": list(result.findings),
            "steps": result.steps,
        },
        metrics={**metrics, "validation": dict(result.figures)},
    )
