"""The published generations of the model as configurations, and two small ones of our own.

Sizes are those of the public model cards, configuration files and start-up logs ("Total number of DiT parameters");
what is not published is marked ours. `PUBLISHED` holds the counts that the tests compare with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from groot.network.dit import DiTConfig
from groot.network.flow_matching import FlowConfig
from storage.errors import ConfigError, UnknownNameError

ActionForm = Literal["absolute", "state_relative", "end_effector_relative"]


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The encoder of images (and text). `kind` "own" and "keypoints" are trained from scratch ("keypoints" has a trunk
    for each of `views` views); "vision" is an image tower, "vlm" a vision-language model of transformers, read from
    `source`, a folder or a name on a hub.

    `layer` is the hidden layer whose features are used (0 = the last), those above are cut off; `tune_top` and
    `tune_vision` say what is trained, all else is frozen. With `film` the instruction reaches the pictures of
    "keypoints" before their places are taken.
    """

    kind: Literal["own", "keypoints", "vision", "vlm"] = "own"
    source: str = ""
    revision: str = ""
    width: int = 64
    image_px: tuple[int, int] = (64, 64)
    layer: int = 0
    tune_top: int = 0
    tune_vision: bool = False
    depth: int = 3
    keypoints: int = 32
    views: int = 2
    film: bool = False


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """System 1. `embodiments` is the number of slots for embodiment-specific layers; `state_size` 0 means no state.

    `adapter` = (layers, heads, head width) of the self-attention over the context, none when layers is 0.
    `future_tokens` are learned tokens that FLARE aligns with the features of a future frame.
    """

    dit: DiTConfig
    flow: FlowConfig = field(default_factory=FlowConfig)
    embodiments: int = 32
    state_size: int = 64
    action_size: int = 32
    horizon: int = 16
    hidden: int = 1024
    context_norm: bool = False
    adapter: tuple[int, int, int] = (0, 1, 1)
    future_tokens: int = 0
    positions: int = 1024
    state_dropout: float = 0.0

    def __post_init__(self) -> None:
        layers, heads, head_width = self.adapter
        if layers and heads * head_width != self.dit.context_width:
            raise ConfigError(
                f"an adapter of {heads} heads x {head_width} is {heads * head_width} wide,"
                f" the context {self.dit.context_width}"
            )
        if self.horizon + self.future_tokens + 1 > self.positions:
            raise ConfigError(f"{self.positions} positions do not hold a chunk of {self.horizon} and its state")


@dataclass(frozen=True, kw_only=True)
class GrootConfig:
    """A whole model: encoder, action head, and how it is trained."""

    name: str
    backbone: BackboneConfig
    head: HeadConfig
    actions: ActionForm = "absolute"
    detection_weight: float = 0.0
    future_weight: float = 0.0


def n1() -> GrootConfig:
    """GR00T N1 2B (arXiv 2503.14734): Eagle-2, LLM layer 12, 224 px; absolute actions, DiT of 16 layers."""
    dit = DiTConfig(layers=16, heads=32, head_width=48, context_width=1536, output_width=1024)
    return GrootConfig(
        name="n1",
        backbone=BackboneConfig(
            kind="vlm", source="nvidia/Eagle2-2B", width=1536, image_px=(224, 224), layer=12, tune_vision=True
        ),
        head=HeadConfig(dit=dit),
        detection_weight=1.0,
    )


def n1_5() -> GrootConfig:
    """GR00T N1.5 3B: the VLM is frozen, four layers of self-attention over its features, FLARE loss 0.2."""
    dit = DiTConfig(layers=16, heads=32, head_width=48, context_width=2048, output_width=1024)
    return GrootConfig(
        name="n1.5",
        backbone=BackboneConfig(kind="vlm", source="nvidia/Eagle2.5-2B", width=2048, image_px=(224, 224), layer=12),
        head=HeadConfig(dit=dit, context_norm=True, adapter=(4, 32, 64), future_tokens=32),
        future_weight=0.2,
    )


def n1_6() -> GrootConfig:
    """GR00T N1.6 3B: DiT of 32 layers that alternates between text and image tokens, no adapter, the top 4 layers of
    the LLM tuned, chunks relative to the state."""
    dit = DiTConfig(layers=32, heads=32, head_width=48, context_width=2048, output_width=1024, alternate_context=True)
    return GrootConfig(
        name="n1.6",
        backbone=BackboneConfig(
            kind="vlm", source="nvidia/Eagle-Block2A-2B-v2", width=2048, image_px=(256, 256), layer=16, tune_top=4
        ),
        head=HeadConfig(dit=dit, state_size=128, action_size=128, context_norm=True),
        actions="state_relative",
    )


def n1_7() -> GrootConfig:
    """GR00T N1.7 3B: Cosmos-Reason2 (Qwen3-VL), layer 16, width 132 for state and action, horizon 40, relative
    end-effector actions that people's hands share; adapter of four layers."""
    base = n1_6()
    head = replace(base.head, state_size=132, action_size=132, horizon=40, adapter=(4, 32, 64), state_dropout=0.8)
    backbone = BackboneConfig(kind="vlm", source="nvidia/Cosmos-Reason2-2B", width=2048, image_px=(256, 256), layer=16)
    return GrootConfig(name="n1.7", backbone=backbone, head=head, actions="end_effector_relative")


def starter() -> GrootConfig:
    """Ours: small enough to train on a laptop's cores; keypoints of each view and a DiT of four layers."""
    dit = DiTConfig(layers=4, heads=4, head_width=32, context_width=128, output_width=128, dropout=0.0)
    return GrootConfig(
        name="starter",
        backbone=BackboneConfig(kind="keypoints", width=128, image_px=(64, 64), film=True),
        head=HeadConfig(
            dit=dit,
            embodiments=1,
            state_size=64,
            action_size=44,
            hidden=128,
            positions=64,
        ),
    )


def tiny() -> GrootConfig:
    """Ours, random weights, for tests."""
    dit = DiTConfig(layers=2, heads=2, head_width=8, context_width=16, output_width=16, dropout=0.0)
    return GrootConfig(
        name="tiny",
        backbone=BackboneConfig(width=16, image_px=(32, 32), depth=2),
        head=HeadConfig(
            dit=dit, embodiments=3, state_size=5, action_size=4, horizon=6, hidden=16, positions=16, future_tokens=2
        ),
        detection_weight=1.0,
        future_weight=0.2,
    )


PRESETS: Mapping[str, Callable[[], GrootConfig]] = {
    "n1": n1,
    "n1.5": n1_5,
    "n1.6": n1_6,
    "n1.7": n1_7,
    "starter": starter,
    "tiny": tiny,
}

PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "n1.5": {"dit": 550_386_688, "adapter": 201_433_088},
    "n1.6": {"dit": 1_091_722_240},
    "n1.7": {"dit": 1_091_722_240, "adapter": 201_433_088},
}
"""Parameter counts that the public code prints when it starts. N1 publishes 2.2B in all, of them 1.34B in the VLM."""


def preset(name: str) -> GrootConfig:
    """The configuration called `name`; raises UnknownNameError."""
    try:
        return PRESETS[name]()
    except KeyError:
        raise UnknownNameError.among("preset", name, PRESETS) from None
