"""Fit a latent action model to data sets: read clips, train, watch its health, stop early if it collapses, save.

The saved card states the health on held-out episodes and what fails the gates; labelling reads it there.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groot.checkpoint import ModelCard, load_card, load_weights, save_model
from groot.fit import FitConfig, FitResult, fit
from lapa.fitting.batches import Batch, BatchConfig, PairBatches
from lapa.fitting.clips import Clip, ClipConfig, read_clips
from lapa.fitting.frame_pairs import WindowConfig
from lapa.fitting.health import CollapseRule, Gates, Health, measure
from lapa.labelling.frame_flags import CutConfig, flag_shares
from lapa.network.augment import AugmentConfig, augment_pair
from lapa.network.frozen_backbones import load_tower
from lapa.network.losses import LossConfig, label_error, pixel_weights, squared_errors, swap_contrast
from lapa.network.model import LapaConfig, LatentActionModel
from lapa.presets import PRESETS
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import ConfigError, InputError, UnknownNameError
from storage.ids import content_id

log = logging.getLogger(__name__)

KIND = "lapa"
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
        precision="bf16",
        average_decay=0.0,
    )


@dataclass(frozen=True, kw_only=True)
class LapaFitConfig:
    """Everything that a fit is made of; what is left out is right for the starter size.

    `held_out_share` of the episodes (at least one a data set, chosen by their ids) is never trained on.
    """

    preset: str = "starter"
    model: LapaConfig = field(default_factory=LapaConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    batches: BatchConfig = field(default_factory=BatchConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: FitConfig = field(default_factory=_training)
    gates: Gates = field(default_factory=Gates)
    collapse: CollapseRule = field(default_factory=CollapseRule)
    held_out_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"held_out_share lies between 0 and 1; got {self.held_out_share}")

    @classmethod
    def of_preset(cls, name: str, *, steps: int = 0, **changes: Any) -> "LapaFitConfig":
        """The config of a preset; `steps` and other fields replace what it says."""
        if name not in PRESETS:
            raise UnknownNameError.among("preset of the latent action model", name, PRESETS)
        config = cls(preset=name, **{"model": PRESETS[name](), **changes})
        return replace(config, training=replace(config.training, steps=steps)) if steps else config


@dataclass(frozen=True, kw_only=True)
class LapaFit:
    """What came of a fit: the model, its card as saved, its health and how the training went."""

    model: LatentActionModel
    card: ModelCard
    health: Health
    failures: tuple[str, ...]
    result: FitResult


def fit_lapa(datasets: Sequence[Path], config: LapaFitConfig, folder: Path) -> LapaFit:
    """Fit to the episodes of `datasets` and save model and card in `folder`; training resumes from `folder`/training.

    Raises InputError when nothing makes a pair.
    """
    opened = [Dataset.open(path) for path in datasets]
    training, held_out = split_episodes(opened, config.held_out_share)
    size_px = (config.model.height_px, config.model.width_px)
    clips = [list(read_clips(episodes, size_px, config.clips)) for episodes in (training, held_out)]
    data = {"datasets": [dataset.name for dataset in opened], "held_out": sorted(e.episode_id for e in held_out)}
    return fit_clips(clips[0], clips[1], config, folder, data=data)


def split_episodes(datasets: Iterable[Dataset], share: float) -> tuple[list[Episode], list[Episode]]:
    """Episodes to train on and to hold out, by the hash of their ids, `share` of each data set and at least one."""
    training: list[Episode] = []
    held_out: list[Episode] = []
    for dataset in datasets:
        episodes = sorted(dataset.episodes(), key=lambda episode: content_id("held out", episode.episode_id))
        if len(episodes) < 2:
            raise InputError(f"{dataset.root} holds {len(episodes)} episodes; at least 2 are needed, one to hold out")
        count = max(1, round(share * len(episodes)))
        held_out += episodes[:count]
        training += episodes[count:]
    return training, held_out


def fit_clips(
    training: Sequence[Clip], held_out: Sequence[Clip], config: LapaFitConfig, folder: Path, *, data: Mapping[str, Any]
) -> LapaFit:
    """Fit to clips that were read already; `data` is what the card says of them."""
    batches = PairBatches(training, config.batches)
    torch.manual_seed(config.training.seed)
    model_config = replace(config.model, labels=batches.label_sizes)
    model = build_model(model_config)

    def validate(module: nn.Module) -> dict[str, float]:
        assert isinstance(module, LatentActionModel)
        return measure(module, held_out, pairs=WATCH_PAIRS).figures()

    result = fit(
        model,
        config.training,
        loss=training_loss(config.loss, config.augment),
        batches=batches,
        validate=validate,
        stop_when=config.collapse,
        folder=folder / "training",
    )
    health = measure(model.eval(), held_out, pairs=HEALTH_PAIRS)
    failures = health.failures(config.gates) + ((result.stopped,) if result.stopped else ())
    for failure in failures:
        log.warning("gate failed: %s", failure)
    card = ModelCard(
        kind=KIND,
        preset=config.preset,
        config=model_config.to_json(),
        inputs={
            "windows": asdict(config.clips.windows),
            "cuts": asdict(config.clips.cuts),
            "cameras": config.clips.cameras,
        },
        data={**data, "training_episodes": len(training), "masked_steps": masked_shares([*training, *held_out])},
        training={**asdict(config), "model": None, "steps_done": result.steps, "wall_s": round(result.wall_s, 1)},
        metrics={"health": health.to_json(), "gates": asdict(config.gates), "failures": list(failures)},
    )
    return LapaFit(model=model, card=save_model(folder, model, card), health=health, failures=failures, result=result)


def build_model(config: LapaConfig) -> LatentActionModel:
    """A new model of `config`, its frozen tower loaded if it names one."""
    tower = load_tower(config.tower, (config.height_px, config.width_px)) if config.tower else None
    return LatentActionModel(config, tower=tower)


def training_loss(loss: LossConfig, augment: AugmentConfig) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
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


def masked_shares(clips: Sequence[Clip]) -> dict[str, float]:
    """Which share of all steps carries no latent, flag by flag."""
    return flag_shares(np.concatenate([clip.flags for clip in clips])) if clips else {}


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model from disk, in eval mode, and how its clips are to be read."""

    model: LatentActionModel
    card: ModelCard
    clips: ClipConfig

    @property
    def gates(self) -> Gates:
        """What it was judged by."""
        return Gates(**self.card.metrics.get("gates", {}))

    @property
    def failures(self) -> tuple[str, ...]:
        """The gates that it failed when it was fitted."""
        return tuple(self.card.metrics.get("failures", ("it was never measured",)))


def load_model(folder: Path) -> LoadedModel:
    """The latent action model in `folder`; raises the errors of `groot.checkpoint`."""
    card = load_card(folder, kind=KIND)
    config = LapaConfig.from_json(card.config)
    model = build_model(config)
    load_weights(folder, model)
    clips = ClipConfig(
        cameras=tuple(card.inputs["cameras"]),
        windows=WindowConfig(**card.inputs["windows"]),
        cuts=CutConfig(**card.inputs["cuts"]),
    )
    return LoadedModel(model=model.eval(), card=card, clips=clips)
