"""The models that are known, by the class of their diffusers pipeline: what they were made for and which adapter fits.

Shapes and samplers are those of the model cards; GR00T N1 used Wan 2.1 I2V 14B at 832 x 480, 81 frames, stored at 8 Hz
(arXiv 2503.14734, appendix F); the model itself draws at 16 Hz.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generators.neural.clip_shape import ClipShape
from generators.neural.models.interface import Sampling, VideoModel
from storage.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Family:
    """`adapter` is "module:class"; `takes_lora` whether diffusers' class loads LoRA files."""

    adapter: str
    shape: ClipShape
    sampling: Sampling
    takes_lora: bool


_WAN = "generators.neural.models.wan:WanModel"
_COG = "generators.neural.models.cogvideox:CogVideoXModel"
_ONE = "generators.neural.models.one_call:OneCallModel"

FAMILIES: Mapping[str, Family] = {
    "WanImageToVideoPipeline": Family(
        adapter=_WAN,
        shape=ClipShape(frames=81, height_px=480, width_px=832, rate_hz=16.0),
        sampling=Sampling(steps=50, guidance=5.0),
        takes_lora=True,
    ),
    "Cosmos2VideoToWorldPipeline": Family(
        adapter=_ONE,
        shape=ClipShape(frames=93, height_px=704, width_px=1280, rate_hz=16.0),
        sampling=Sampling(steps=35, guidance=7.0),
        takes_lora=False,
    ),
    "CogVideoXImageToVideoPipeline": Family(
        adapter=_COG,
        shape=ClipShape(frames=49, height_px=480, width_px=720, rate_hz=8.0),
        sampling=Sampling(steps=50, guidance=6.0),
        takes_lora=True,
    ),
    "LTXImageToVideoPipeline": Family(
        adapter=_ONE,
        shape=ClipShape(frames=161, height_px=512, width_px=704, rate_hz=25.0),
        sampling=Sampling(steps=50, guidance=3.0),
        takes_lora=True,
    ),
}


def family_of(pipeline_class: str) -> Family:
    """The family of a diffusers pipeline class; raises UnknownNameError."""
    try:
        return FAMILIES[pipeline_class]
    except KeyError:
        raise UnknownNameError.among("image-to-video pipeline", pipeline_class, FAMILIES) from None


def adapted(pipe: Any, *, shape: ClipShape | None = None, sampling: Sampling | None = None) -> VideoModel:
    """A loaded pipeline behind the project's interface, with its family's shape and sampler unless others are given."""
    from importlib import import_module

    family = family_of(type(pipe).__name__)
    module, _, name = family.adapter.partition(":")
    model: VideoModel = getattr(import_module(module), name)(pipe, shape or family.shape, sampling or family.sampling)
    return model
