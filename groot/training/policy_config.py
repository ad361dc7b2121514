"""Everything that a fit of the GR00T model is asked for; what a recipe file is read into."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from groot.fit_config import FitConfig
from groot.normalise import Method
from groot.presets import GrootConfig
from groot.presets import preset as model_preset
from groot.training.augment import AugmentConfig
from groot.training.mixture_config import Mixture, MixtureSource
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GrootFitConfig:
    """A mixture, a model and how to train it.

    `views` maps each view of the model to the cameras that may fill it, the first one that an episode has is taken;
    empty: the cameras of the sources by name. A chunk has as many steps as the model's horizon, at the recordings' own
    rate, or over `horizon_s` seconds. `state_parts` (embodiment -> parts) chooses what the network feels. `initial` is
    the folder of a fitted model of the same preset to begin from. `held_out_share` of the episodes is validated on.
    With `stored_features` the encoder's features are read from a sidecar (`pyramid label features`), not computed.
    """

    model: GrootConfig
    mixture: Mixture = field(default_factory=Mixture)
    fit: FitConfig
    batch_size: int = 32
    workers: int = 0
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    horizon_s: float | None = None
    normalisation: Method = "min_max"
    state_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    stored_features: bool = False
    initial: str = ""
    held_out_share: float = 0.05

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0 or not 0 <= self.held_out_share < 1:
            raise ConfigError(
                "batch_size must be 1 or more, workers 0 or more, held_out_share in [0, 1); got"
                f" {self.batch_size}, {self.workers}, {self.held_out_share}"
            )
        if self.stored_features and (self.model.backbone.tune_top or self.model.backbone.tune_vision):
            raise ConfigError("features of an encoder that is tuned change with every step; set stored_features false")
        if self.stored_features and self.augment != replace(AugmentConfig(), state_noise=self.augment.state_noise):
            raise ConfigError("stored features are of pictures as they are; leave only state_noise in `augment`")

    @classmethod
    def of_preset(cls, name: str, datasets: tuple[str, ...] = (), *, steps: int = 0) -> "GrootFitConfig":
        """The recipe of a preset for `datasets`; steps 0: the preset's own."""
        mixture = Mixture(sources=tuple(MixtureSource(dataset=path) for path in datasets))
        config = cls(model=model_preset(name), mixture=mixture, **RECIPES.get(name, PUBLISHED_RECIPE))
        return replace(config, fit=replace(config.fit, steps=steps)) if steps else config


PUBLISHED_RECIPE: Mapping[str, Any] = {
    "fit": FitConfig(steps=60_000, precision="bf16", save_every=1000),
    "batch_size": 128,
}
"""GR00T N1 (arXiv 2503.14734), appendix F: post-training with batches of 128, 20,000 to 60,000 steps."""

STARTER_FIT = FitConfig(
    steps=3000,
    learning_rate=5e-4,
    betas=(0.9, 0.99),
    weight_decay=1e-3,
    average_decay=0.995,
    precision="bf16",
    log_every=100,
    save_every=500,
)
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "starter": {
        "fit": STARTER_FIT,
        "batch_size": 64,
        "augment": AugmentConfig(shift_share=0.03, state_noise=0.02),
        "state_parts": {"panda": ("end_effector_position", "end_effector_rotation", "gripper")},
    },
    "tiny": {"fit": FitConfig(steps=20, learning_rate=3e-3, log_every=5), "batch_size": 8},
}
"""Ours: what trains on a few cores."""
