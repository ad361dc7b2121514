"""Fit a latent action model to data sets: read clips, train, watch its health, stop early if it collapses, save.

The saved card states the health on held-out episodes and what fails the gates; labelling reads it there.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groot.checkpoint import ModelCard, put_tensors
from groot.fit import FitConfig, FitResult
from groot.fit import fit as run_fit
from lapa.fitting.batches import Batch, BatchConfig, PairBatches
from lapa.fitting.clips import ClipConfig, LapaClip, read_clips
from lapa.fitting.health import CollapseRule, Gates, Health, measure
from lapa.fitting.windows import clip_config, episodes_of, pair_reader
from lapa.labelling.label_config import model_folder
from lapa.labelling.saved_model import KIND, LapaModel, build_model, load_lapa, save_lapa
from lapa.network.augment import AugmentConfig, augment_pair
from lapa.network.losses import LapaLossConfig, label_error, pixel_weights, squared_errors, swap_contrast
from lapa.network.model import LapaConfig, LatentActionModel
from lapa.presets import PRESETS
from storage.errors import InputError, UnknownNameError
from storage.labelling.labels import step_shares
from storage.training_reader.training_data import TrainingData

log = logging.getLogger(__name__)

WATCH_PAIRS, HEALTH_PAIRS = 512, 2048
"""Held-out pairs that health is measured on while a model trains, and at its end."""


def _training() -> FitConfig:
    return FitConfig(
        steps=1500,
        learning_rate=1e-3,
        betas=(0.9, 0.99),
        weight_decay=1e-2,
        validate_every=250,
        save_every=250,
        precision="auto",
        average_decay=0.0,
    )


@dataclass(frozen=True, kw_only=True)
class LapaFitConfig:
    """Everything that a fit is made of; what is left out is right for the starter size.

    `workers` processes read pairs ahead of training (0: none; right on a few cores). `start_from` is the folder of a
    model of the same sizes whose weights the fit starts with; "" starts from random weights.
    """

    preset: str = "starter"
    model: LapaConfig = field(default_factory=LapaConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    batches: BatchConfig = field(default_factory=BatchConfig)
    loss: LapaLossConfig = field(default_factory=LapaLossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: FitConfig = field(default_factory=_training)
    gates: Gates = field(default_factory=Gates)
    collapse: CollapseRule = field(default_factory=CollapseRule)
    workers: int = 0
    start_from: str = ""

    @classmethod
    def of_preset(cls, name: str, *, steps: int = 0, **changes: Any) -> "LapaFitConfig":
        """The config of a preset; `steps` and other fields replace what it says."""
        if name not in PRESETS:
            raise UnknownNameError.among("preset of the latent action model", name, PRESETS)
        config = cls(preset=name, **{"model": PRESETS[name](), **changes})
        return replace(config, training=replace(config.training, steps=steps)) if steps else config


@dataclass(frozen=True, kw_only=True)
class LapaFit:
    """What came of a fit: the model as saved, its health and how the training went."""

    model: LapaModel
    health: Health
    failures: tuple[str, ...]
    result: FitResult


def fit(data: Sequence[TrainingData], config: LapaFitConfig, output: Path, *, folder: Path | None = None) -> LapaFit:
    """Fit a model, measure its health on the held-out episodes, and write it to `output`.

    `folder` keeps the state of training (`output`/training by default), so that a run which was stopped goes on. Memory
    does not grow with the video: frames are read when a batch needs them. Raises InputError when nothing makes a pair
    or nothing is held out.
    """
    size_px = (config.model.height_px, config.model.width_px)
    splits = [(each, *each.episodes()) for each in data]
    readers = [pair_reader(each, ids, size_px, config.clips) for each, ids, _ in splits if ids]
    held_out = [clip for each, _, ids in splits for clip in clips_of(each, ids, size_px, config.clips)]
    if not held_out:
        raise InputError(
            f"{', '.join(str(each.dataset.root) for each in data)}: no episode with a good pair is held out, so health"
            " cannot be measured; at least 2 episodes are needed, and a held-out share above 0"
        )
    batches = PairBatches(readers, config.batches, workers=config.workers)
    torch.manual_seed(config.training.seed)
    network = build_model(replace(config.model, labels=batches.label_sizes))
    started = _start(network, config)
    result = run_fit(
        network,
        config.training,
        loss=training_loss(config.loss, config.augment),
        batches=batches,
        validate=lambda module: measure(_as_model(module), held_out, pairs=WATCH_PAIRS).figures(),
        stop_when=config.collapse,
        folder=folder or output / "training",
        identity=(network.config, config.loss, config.batches, config.augment, started, _names(splits)),
    )
    health = measure(network.eval(), held_out, pairs=HEALTH_PAIRS)
    failures = health.failures(config.gates) + ((result.stopped,) if result.stopped else ())
    for failure in failures:
        log.warning("gate failed: %s", failure)
    card = _card(data, config, result, health, failures, [*batches.clips, *held_out], started=started)
    return LapaFit(
        model=save_lapa(output, network, config.clips, card), health=health, failures=failures, result=result
    )


def clips_of(data: TrainingData, ids: frozenset[str], size_px: tuple[int, int], config: ClipConfig) -> list[LapaClip]:
    """The clips of the episodes `ids` that make pairs."""
    clips = read_clips(episodes_of(data, ids), size_px, clip_config(data, config))
    return [clip for clip in clips if len(clip.pairs)]


def _as_model(module: nn.Module) -> LatentActionModel:
    assert isinstance(module, LatentActionModel)
    return module


def _start(network: LatentActionModel, config: LapaFitConfig) -> str:
    """Take over the weights of the model that the fit starts from; its content hash, "" for random weights."""
    if not config.start_from:
        return ""
    start = load_lapa(model_folder(config.start_from))
    own = {name: value for name, value in network.state_dict().items() if name.startswith("heads.")}
    known = {name: value for name, value in start.network.state_dict().items() if not name.startswith("heads.")}
    put_tensors(network, {**own, **known}, source=config.start_from)
    return start.content_hash


def _names(splits: Sequence[tuple[TrainingData, frozenset[str], frozenset[str]]]) -> list[list[str]]:
    """The training episodes of each data set: what makes a run another run."""
    return [sorted(ids) for _, ids, _ in splits]


def _card(
    data: Sequence[TrainingData],
    config: LapaFitConfig,
    result: FitResult,
    health: Health,
    failures: Sequence[str],
    clips: Sequence[LapaClip],
    *,
    started: str,
) -> ModelCard:
    """`started` is the content hash of the weights that the fit began with: a folder would say nothing elsewhere."""
    how = {**asdict(config), "model": None, "start_from": started}
    return ModelCard(
        kind=KIND,
        preset=config.preset,
        config={},
        data={
            "datasets": sorted({each.dataset.name for each in data}),
            "held_out": sorted({name for each in data for name in each.episodes()[1]}),
            "training_episodes": sum(len(each.episodes()[0]) for each in data),
            "masked_steps": masked_shares(clips),
        },
        training={**how, "steps_done": result.steps, "wall_s": round(result.wall_s, 1)},
        metrics={"health": health.to_json(), "gates": asdict(config.gates), "failures": list(failures)},
    )


def training_loss(loss: LapaLossConfig, augment: AugmentConfig) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """The `groot.fit.LossFunction` of a latent action model."""

    def loss_of(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(module, LatentActionModel)
        now, later = (module.look(images) for images in augment_pair(batch["now"], batch["later"], augment))
        pair = module(now, later)
        mask = batch["mask"][:, None].float() if "mask" in batch and not module.config.tower else None
        weight = pixel_weights(now, later, mask, loss)
        own_B = squared_errors(pair.predicted, later, weight)
        parts = {"reconstruction": own_B.mean() / loss.scale, "commitment": pair.loss}
        if loss.swap:
            # Neighbours in a batch are drawn at random, so the next row's codes belong to another moment.
            foreign = module.decode(now, pair.codes.roll(1, dims=0))
            parts["swap"] = loss.swap * swap_contrast(own_B, squared_errors(foreign, later, weight), loss)
        if "label_now" in batch and loss.label:
            parts["label"] = loss.label * _label_loss(module, batch, augment)
        with torch.no_grad():
            plain = squared_errors(pair.predicted, later).sum() / squared_errors(now, later).sum().clamp_min(1e-9)
        return {"loss": torch.stack([*parts.values()]).sum(), **parts, "over_copying": plain}

    return loss_of


def _label_loss(model: LatentActionModel, batch: Batch, augment: AugmentConfig) -> Tensor:
    now, later = (model.look(images) for images in augment_pair(batch["label_now"], batch["label_later"], augment))
    latent = model.encoder(now, later).float().flatten(1)
    errors = []
    for name, head in model.heads.items():
        wanted = batch[f"motion/{name}"]
        errors.append(label_error(head(latent).float(), wanted.nan_to_num(), wanted.isfinite()))
    return torch.stack(errors).mean()


def masked_shares(clips: Sequence[LapaClip]) -> dict[str, float]:
    """Which share of all steps carries no latent, flag by flag."""
    return step_shares(np.concatenate([clip.flags for clip in clips])) if clips else {}
