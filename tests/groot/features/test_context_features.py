"""Stored features: what training makes of them is what it makes of the live encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groot.features.context_features import ContextFeatures
from groot.features.feature_config import FeatureConfig
from groot.presets import BackboneConfig, GrootConfig, preset
from groot.training.fit_policy import fit_policy
from groot.training.mixture_config import Mixture, MixtureSource
from groot.training.policy_config import GrootFitConfig
from storage.errors import ConfigError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.testing import tiny_dataset, tiny_episode, write_unit

BACKBONE = BackboneConfig(kind="vision", source="random/siglip2", width=16, image_px=(32, 32), views=1)
FEATURES = FeatureConfig(backbone=BACKBONE, views={"front": ("front",)}, tokens=20)


def model() -> GrootConfig:
    return replace(preset("tiny"), backbone=BACKBONE, detection_weight=0.0, future_weight=0.0)


def losses(data: Path, output: Path, *, stored: bool) -> list[float]:
    labels = ("features",) if stored else ()
    base = GrootFitConfig.of_preset("tiny")
    config = replace(
        base,
        model=model(),
        mixture=Mixture(sources=(MixtureSource(dataset=str(data), labels=labels),)),
        # small steps: stored features are rounded to 16 bits, and what Adam makes of a rounding grows with the rate
        fit=replace(base.fit, steps=6, log_every=1, learning_rate=1e-4),
        stored_features=stored,
        views={"front": ("front",)},
        held_out_share=0.0,
    )
    return [record["flow"] for record in fit_policy(config, output, tensorboard=False).result.history]


def labelled(root: Path) -> Path:
    dataset = tiny_dataset(root, units=2)
    stage = ContextFeatures(FEATURES)
    for unit in dataset.units():
        shard = dataset.open_shard(unit)
        episodes = [shard.episode(place) for place in range(len(shard.episodes))]
        kept = [outcome.episode for (outcome,) in stage(episodes, Randomness(0, "f")) if isinstance(outcome, Kept)]
        bare = [
            replace(each, cameras={}, arrays={n: a for n, a in each.arrays.items() if n.startswith("feature")})
            for each in kept
        ]
        write_unit(root, bare, unit_id=unit, sink="labels/features")
    return root


def test_training_on_stored_features_has_the_losses_of_the_live_encoder(tmp_path: Path) -> None:
    data = labelled(tmp_path / "d")
    live = losses(data, tmp_path / "live", stored=False)
    stored = losses(data, tmp_path / "stored", stored=True)
    assert np.allclose(live, stored, atol=1e-3)
    assert live[0] != live[-1]


def test_features_do_not_depend_on_the_steps_beside_them() -> None:
    episode = tiny_episode(1, length=10)
    (one,) = ContextFeatures(FEATURES)([episode], Randomness(0, "f"))[0]
    (other,) = ContextFeatures(replace(FEATURES, batch=3))([episode], Randomness(0, "f"))[0]
    assert isinstance(one, Kept)
    assert isinstance(other, Kept)
    features = [each.episode.arrays["feature/context"].astype(np.float32) for each in (one, other)]
    assert features[0].shape == (10, 20, 32)
    assert np.allclose(*features, atol=2e-3)
    assert (one.episode.arrays["feature_mask/context"] == [2] * 16 + [0] * 4).all()


def test_an_episode_without_the_camera_is_dropped_and_too_few_tokens_are_refused() -> None:
    episode = tiny_episode(1, cameras=("wrist",))
    (outcome,) = ContextFeatures(FEATURES)([episode], Randomness(0, "f"))[0]
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "missing camera"
    with pytest.raises(ConfigError, match="16 tokens"):
        ContextFeatures(replace(FEATURES, tokens=10))([tiny_episode(1)], Randomness(0, "f"))


def test_encoders_that_are_trained_have_nothing_to_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vision or vlm"):
        replace(FEATURES, backbone=BackboneConfig(kind="own"))
    with pytest.raises(ConfigError, match="tuned"):
        replace(FEATURES, backbone=replace(BACKBONE, tune_vision=True))
    data = tiny_dataset(tmp_path / "d").root
    config = replace(GrootFitConfig.of_preset("tiny", (str(data),)), model=model(), views={"front": ("front",)})
    with pytest.raises(ConfigError, match="pyramid label features"):
        fit_policy(replace(config, stored_features=True), tmp_path / "m", tensorboard=False)
