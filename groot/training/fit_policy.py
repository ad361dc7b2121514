"""Fitting the shared model to a mixture: from a recipe to a folder with weights and a card."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from groot.checkpoint import ModelCard
from groot.data_loader import window_batches
from groot.fit import FitResult, fit
from groot.network.model import Groot, groot_loss
from groot.presets import PUBLISHED, GrootConfig
from groot.training.head_statistics import HeadOptions, heads_of
from groot.training.heads import Head
from groot.training.label_check import refuse_nan
from groot.training.mixture import Cell, cells_of, snapshot_of, split_episodes
from groot.training.mixture_config import IN_THE_LOSS
from groot.training.offline_error import OfflineError
from groot.training.policy_config import GrootFitConfig
from groot.training.prepare import BOX, FEATURE_MASK, FEATURES, Prepare, PrepareConfig
from groot.training.saved_policy import SavedPolicy, begin_from, load_policy, save_policy
from storage.atomic_files import json_bytes, read_json, write_once
from storage.errors import ConfigError
from storage.ids import content_id
from storage.training_reader.config import WindowConfig
from storage.training_reader.windows import Windows

log = logging.getLogger(__name__)
SNAPSHOT = "snapshot.json"


@dataclass(frozen=True)
class Fitted:
    """A fitted policy, how its training went, what of the mixture was left out and why, and what its card says."""

    policy: SavedPolicy
    result: FitResult
    left_out: Sequence[str]
    card: ModelCard


def fit_policy(config: GrootFitConfig, output: Path, *, stop_at: int = 0, tensorboard: bool = True) -> Fitted:
    """Train the model of `config` on its mixture and save it in `output`; training state lies in `output`/training.

    Called again after it was stopped, it goes on from the last saved state, on the data that was there when it began.
    Everything that can be refused is refused before the first step.
    """
    folder = output / "training"
    cells, left_out = _snapshot_cells(config, folder)
    for line in left_out:
        log.warning("left out of the mixture: %s", line)
    refuse_nan(cells)
    training, held_out = split_episodes(cells, config.held_out_share)
    views = views_of(config, cells)
    windows_config = _windows(config, cells, views)
    initial = load_policy(Path(config.initial), preset=config.model.name) if config.initial else None
    slots = {name: head.slot for name, head in initial.heads.items()} if initial else {}
    options = HeadOptions(
        normalisation=config.normalisation,
        relative=config.model.actions != "absolute",
        state_parts=config.state_parts,
    )
    heads = heads_of(cells, training, windows_config, options, slots=slots)
    model_config = _fitting(config.model, heads, views)
    windows = Windows(training, windows_config)
    torch.manual_seed(config.fit.seed)
    model = Groot(model_config)
    if initial:
        begin_from(model, initial, heads)
    prepare = _prepare_config(config, model_config, views)
    ordered = [heads[name] for name in windows.embodiments]
    validation = Windows(held_out, windows_config) if held_out else None
    result = fit(
        model,
        config.fit,
        loss=groot_loss,
        batches=window_batches(
            windows,
            batch_size=config.batch_size,
            prepare=Prepare(prepare, ordered),
            seed=config.fit.seed,
            workers=config.workers,
        ),
        validate=OfflineError(validation, prepare, heads) if validation else None,
        folder=folder,
        identity=[content_id(model_config, windows.table.fingerprint(), {n: h.to_json() for n, h in heads.items()})],
        stop_at=stop_at,
        tensorboard=tensorboard,
    )
    policy = SavedPolicy(
        network=model.eval(), config=model_config, heads=heads, views=views, horizon_s=config.horizon_s, card=None
    )
    card = _card(config, cells, result, left_out)
    if result.steps < config.fit.steps and not result.stopped:
        return Fitted(policy, result, left_out, card)
    return Fitted(save_policy(output, policy, card), result, left_out, card)


def _snapshot_cells(config: GrootFitConfig, folder: Path) -> tuple[list[Cell], list[str]]:
    """The mixture as it was when the run in `folder` began: what is committed while it trains does not change it."""
    file = folder / SNAPSHOT
    if file.exists():
        begun = read_json(file)
        if sorted(begun) != sorted({source.dataset for source in config.mixture.sources}):
            raise ConfigError(
                f"the run in {folder.parent} was begun on {', '.join(sorted(begun))}; name the same data sets, or"
                " another output"
            )
        return cells_of(config.mixture, begun)
    cells, left_out = cells_of(config.mixture)
    folder.mkdir(parents=True, exist_ok=True)
    write_once(file, json_bytes(snapshot_of(cells, config.mixture)))
    return cells, left_out


def views_of(config: GrootFitConfig, cells: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    """The views of a recipe, or one for each camera of its sources; raises ConfigError where those are too many."""
    if config.views:
        return dict(config.views)
    names = sorted({name for cell in cells for layout in cell.dataset.index.layouts for name in layout["cameras"]})
    limit = config.model.backbone.views
    if not names or len(names) > limit:
        raise ConfigError(
            f"the sources have the cameras {names or 'none'}, the model takes 1 to {limit} views; say in `views` which"
            " cameras may fill each, such as views: {front: [agentview, ego_view]}"
        )
    return {name: (name,) for name in names}


def _windows(config: GrootFitConfig, cells: Sequence[Cell], views: dict[str, tuple[str, ...]]) -> WindowConfig:
    arrays = {name for cell in cells for unit in cell.dataset.units() for name in cell.dataset.arrays(unit)}
    fields = tuple(
        name
        for name, wanted in (
            (BOX, config.model.detection_weight > 0),
            (FEATURES, config.stored_features),
            (FEATURE_MASK, config.stored_features),
        )
        if wanted and name in arrays
    )
    if config.stored_features and FEATURES not in fields:
        raise ConfigError(
            f"the recipe trains on stored features, but no source has {FEATURES}; make them with"
            " `pyramid label features` and name the sidecar in the `labels` of each source"
        )
    horizon = config.model.head.horizon
    ahead_s = config.horizon_s or horizon / _rate(cells)
    return WindowConfig(
        cameras={} if config.stored_features else views,
        observation_offsets_s=(0.0, ahead_s) if config.model.future_weight and not config.stored_features else (0.0,),
        horizon_steps=horizon,
        horizon_s=config.horizon_s,
        fields=fields,
        confidence=config.mixture.confidence in IN_THE_LOSS,
        size_px=config.model.backbone.image_px,
    )


def _rate(cells: Sequence[Cell]) -> float:
    return max(float(layout["rate_hz"]) for cell in cells for layout in cell.dataset.index.layouts)


def _fitting(model: GrootConfig, heads: dict[str, Head], views: dict[str, tuple[str, ...]]) -> GrootConfig:
    """The preset with as many slots, views and numbers as the mixture needs. Published sizes stay as they are."""
    state = max((len(head.state_parts and head.state_columns) for head in heads.values()), default=0)
    action = max(head.action_size for head in heads.values())
    slots = max(head.slot for head in heads.values()) + 1
    head = model.head
    if model.name in PUBLISHED or model.name == "n1":
        for what, needed, there in (
            ("numbers of a state", state, head.state_size),
            ("numbers of an action", action, head.action_size),
            ("heads", slots, head.embodiments),
        ):
            if needed > there:
                raise ConfigError(f"the mixture has up to {needed} {what}; {model.name} has room for {there}")
        return model
    fitting = replace(head, state_size=max(state, 1), action_size=action, embodiments=max(slots, head.embodiments))
    return replace(model, head=fitting, backbone=replace(model.backbone, views=max(len(views), 1)))


def _prepare_config(config: GrootFitConfig, model: GrootConfig, views: dict[str, tuple[str, ...]]) -> PrepareConfig:
    return PrepareConfig(
        views=tuple(views),
        state_size=model.head.state_size,
        action_size=model.head.action_size,
        encoder=model.backbone.kind,
        confidence=config.mixture.confidence,
        confidence_cut=config.mixture.confidence_cut,
        augment=config.augment,
        seed=config.fit.seed,
    )


def _card(config: GrootFitConfig, cells: Sequence[Cell], result: FitResult, left_out: Sequence[str]) -> ModelCard:
    total = sum(cell.weight for cell in cells)
    data = {
        cell.name: {
            "dataset": cell.dataset.name,
            "units": content_id(sorted(cell.dataset.units())),
            "episodes": len(cell.episodes),
            "frames": cell.frames,
            "share": cell.weight / total,
        }
        for cell in cells
    }
    training = {
        "steps": result.steps,
        "fit": asdict(config.fit),
        "batch_size": config.batch_size,
        "wall_s": round(result.wall_s, 1),
    }
    plain = json.loads(json.dumps(asdict(config.mixture), default=str))
    return ModelCard(
        kind="groot",
        preset=config.model.name,
        config={},
        data=data,
        training={**training, "mixture": plain, "left_out": list(left_out), "findings": list(result.findings)},
        metrics={"validation": dict(result.figures)},
    )
