"""A fitted latent action model on disk, and how its clips are read. See `groot.checkpoint`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groot.checkpoint import ModelCard, load_card, load_weights, save_model
from lapa.fitting.clips import ClipConfig
from lapa.fitting.frame_pairs import FramePairConfig
from lapa.fitting.health import Gates
from lapa.network.frozen_backbones import load_tower
from lapa.network.model import LapaConfig, LatentActionModel
from storage.pictures.frame_checks import FrameCheckConfig

KIND = "lapa"


@dataclass(frozen=True, kw_only=True)
class LapaModel:
    """A model in eval mode, and how its clips are to be read."""

    network: LatentActionModel
    clips: ClipConfig
    card: ModelCard

    @property
    def config(self) -> LapaConfig:
        return self.network.config

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width that frames are brought to."""
        return self.config.height_px, self.config.width_px

    @property
    def content_hash(self) -> str:
        return self.card.content_hash

    @property
    def gates(self) -> Gates:
        """What it was judged by."""
        return Gates(**self.card.metrics.get("gates", {}))

    @property
    def failures(self) -> tuple[str, ...]:
        """The gates that it failed when it was fitted."""
        return tuple(self.card.metrics.get("failures", ("it was never measured",)))


def build_model(config: LapaConfig) -> LatentActionModel:
    """A new model of `config`, its frozen tower loaded if it names one."""
    tower = load_tower(config.tower, (config.height_px, config.width_px)) if config.tower else None
    return LatentActionModel(config, tower=tower)


def clip_inputs(clips: ClipConfig) -> Mapping[str, Any]:
    """What the card says about how clips are read."""
    return {"windows": asdict(clips.windows), "cuts": asdict(clips.cuts), "cameras": clips.cameras}


def save_lapa(folder: Path, network: LatentActionModel, clips: ClipConfig, card: ModelCard) -> LapaModel:
    """Write the model; config and inputs of `card` are filled in."""
    filled = ModelCard(
        kind=KIND,
        preset=card.preset,
        config=network.config.to_json(),
        inputs={**card.inputs, **clip_inputs(clips)},
        data=card.data,
        training=card.training,
        metrics=card.metrics,
    )
    return LapaModel(network=network.eval(), clips=clips, card=save_model(folder, network, filled))


def load_lapa(folder: Path, *, preset: str = "") -> LapaModel:
    """The latent action model in `folder`; raises the errors of `groot.checkpoint`."""
    card = load_card(folder, kind=KIND, preset=preset)
    network = build_model(LapaConfig.from_json(card.config))
    load_weights(folder, network)
    clips = ClipConfig(
        cameras=tuple(card.inputs["cameras"]),
        windows=FramePairConfig(**card.inputs["windows"]),
        cuts=_checks(card.inputs["cuts"]),
    )
    return LapaModel(network=network.eval(), clips=clips, card=card)


def _checks(record: Mapping[str, Any]) -> FrameCheckConfig:
    """Cards of older models lack some thresholds, and mean another thing by stillness; today's own stand in."""
    if "least_contrast" in record:
        return FrameCheckConfig(**record)
    return FrameCheckConfig(**{name: value for name, value in record.items() if name != "still_jump"})
