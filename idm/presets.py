"""Sizes of inverse dynamics models. `starter` is what ships; the others read a pretrained image tower."""

from collections.abc import Callable, Mapping

from groot.network.flow_matching import FlowConfig
from groot.presets import BackboneConfig
from idm.network.encoder import IdmEncoderConfig
from idm.network.model import IdmConfig
from storage.errors import UnknownNameError


def tiny() -> IdmConfig:
    """For tests: seconds on one core."""
    return IdmConfig(
        preset="tiny",
        frame_offsets_s=(0.0, 0.2),
        chunk_s=0.2,
        chunk_steps=2,
        members=2,
        hidden=32,
        flow_layers=2,
        encoder=IdmEncoderConfig(image_px=(32, 32), width=16, blocks=(1, 1, 1), trunk_width=16, token_width=24),
    )


def starter() -> IdmConfig:
    """Ours, trained from scratch on a few cores; small tabletop robots at 20 Hz seen by one fixed camera at 128 px."""
    return IdmConfig(
        preset="starter",
        frame_offsets_s=(0.0, 0.2),
        chunk_s=0.2,
        chunk_steps=4,
        encoder=IdmEncoderConfig(image_px=(128, 128)),
    )


def base(source: str = "google/siglip2-base-patch16-256") -> IdmConfig:
    """A base-size image tower with a flow head, tuned; for one GPU."""
    return IdmConfig(
        preset="base",
        frame_offsets_s=(0.0, 0.8),
        chunk_s=0.8,
        chunk_steps=16,
        head="flow",
        flow=FlowConfig(euler_steps=8),
        flow_layers=8,
        encoder=IdmEncoderConfig(token_width=512),
        tower=BackboneConfig(kind="vision", source=source, width=768, image_px=(256, 256), tune_vision=True),
    )


def published(source: str = "google/siglip2-large-patch16-256") -> IdmConfig:
    """The published model's sizes (GR00T N1, appendix F, and its public code): SigLIP-2 large, 16 tokens an image, a
    DiT of 8 layers, horizon 16, 16 Euler steps, one noise sample."""
    return IdmConfig(
        preset="published",
        frame_offsets_s=(0.0, 0.8),
        chunk_s=0.8,
        chunk_steps=16,
        head="flow",
        members=1,
        samples=1,
        flow=FlowConfig(euler_steps=16),
        flow_layers=8,
        encoder=IdmEncoderConfig(token_width=1024),
        tower=BackboneConfig(kind="vision", source=source, width=1024, image_px=(256, 256), tune_vision=True),
    )


PRESETS: Mapping[str, Callable[[], IdmConfig]] = {
    "tiny": tiny,
    "starter": starter,
    "base": base,
    "published": published,
}


def preset(name: str) -> IdmConfig:
    """The configuration called `name`; raises UnknownNameError."""
    try:
        return PRESETS[name]()
    except KeyError:
        raise UnknownNameError.among("preset", name, PRESETS) from None
