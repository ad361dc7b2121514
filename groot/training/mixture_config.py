"""What a training mixture is asked for: which data sets, which kinds of action of which layers, in which shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from storage.episode import Layer
from storage.errors import ConfigError, UnknownNameError

TrainingStage = Literal["pretrain", "posttrain"]
Balance = Literal["frames", "layers", "explicit"]
ConfidenceUse = Literal["off", "weighted", "cut", "share"]
IN_THE_LOSS = frozenset({"weighted", "cut"})
"""Uses of confidence that every window must carry it for."""

KINDS_OF_LAYER: Mapping[TrainingStage, Mapping[Layer, tuple[str, ...]]] = {
    "pretrain": {
        "real": ("latent", "ground_truth"),
        "simulation": ("latent", "ground_truth"),
        "neural": ("latent", "predicted"),
        "human": ("latent",),
    },
    "posttrain": {"real": ("ground_truth",), "simulation": ("ground_truth",), "neural": ("predicted",), "human": ()},
}
"""Kinds of action that each layer is trained on (GR00T N1, arXiv 2503.14734, table 1 and section 2.3; simulated
trajectories in post-training are ours)."""


@dataclass(frozen=True, kw_only=True)
class MixtureSource:
    """A data set of a mixture, or a part of it.

    `labels` names the sidecars to join. `layers`, `embodiments` and `kinds` choose a part, () for all: of the kinds
    those that the layer is trained on (`KINDS_OF_LAYER`) and that are there; named kinds must be there. `selection` is
    the name of a file of episodes in the data set's folder `selections`. `weight` is this source's share. With
    `same_head` predicted actions train the head of recorded ones, whose numbers and units they share; GR00T N1 gives
    them a head of their own (ours; see `benchmarks/RESULTS.md`, layer_worth).
    """

    dataset: str
    labels: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    embodiments: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    selection: str = ""
    episodes: int = 0
    weight: float | None = None
    same_head: bool = False

    def __post_init__(self) -> None:
        for layer in self.layers:
            if layer not in get_args(Layer):
                raise UnknownNameError.among("layer", layer, get_args(Layer))
        if self.weight is not None and self.weight < 0:
            raise ConfigError(f"the weight of source {self.dataset!r} must be 0 or more; got {self.weight}")
        if self.episodes < 0:
            raise ConfigError(f"episodes of source {self.dataset!r} must be 0 (all) or more; got {self.episodes}")


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Sources and how they share the stream of windows.

    `balance` "frames": by frames to the `frames_power` (1: every frame is as likely as another; 0: every source is);
    "layers": every layer gets the same share, 1:1 as in the post-training of GR00T N1, and frames share it out within;
    "explicit": by the weights of the sources, which all must have one. Weights by layer and embodiment multiply, and so
    does a source's weight where it is not the whole share.

    `confidence`: how sure a label is enters the loss not at all ("off"), as a weight ("weighted"), or numbers below
    `confidence_cut` are left out ("cut"). With "share" it does not enter the loss: predicted actions get as much less
    of the stream as their labels are unsure in the mean, and recorded ones the rest (ours; see `benchmarks/RESULTS.md`,
    layer_worth).
    """

    sources: tuple[MixtureSource, ...] = ()
    stage: TrainingStage = "pretrain"
    balance: Balance = "frames"
    frames_power: float = 1.0
    layer_weights: Mapping[str, float] = field(default_factory=dict)
    embodiment_weights: Mapping[str, float] = field(default_factory=dict)
    confidence: ConfidenceUse = "off"
    confidence_cut: float = 0.5

    def __post_init__(self) -> None:
        for layer in self.layer_weights:
            if layer not in get_args(Layer):
                raise UnknownNameError.among("layer in layer_weights", layer, get_args(Layer))
        weights = {**self.layer_weights, **self.embodiment_weights}
        if wrong := {name: weight for name, weight in weights.items() if weight < 0}:
            raise ConfigError(f"weights of a mixture must be 0 or more; got {wrong}")
        if not 0 <= self.confidence_cut <= 1 or not 0 <= self.frames_power <= 1:
            raise ConfigError(
                f"confidence_cut and frames_power must be in 0..1; got {self.confidence_cut} and {self.frames_power}"
            )
        lacking = [source.dataset for source in self.sources if source.weight is None]
        if self.balance == "explicit" and lacking:
            raise ConfigError(f'balance "explicit" wants a weight for every source; {", ".join(lacking)} has none')
