"""A whole fit: resumed to the bit, saved and loaded, refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from groot.serving.observation import Observation
from groot.training.fit_policy import fit_policy
from groot.training.mixture_config import MixtureSource
from groot.training.policy import GrootPolicy
from groot.training.policy_config import GrootFitConfig
from groot.training.saved_policy import load_policy
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, InputError, SchemaError
from storage.testing import tiny_dataset, tiny_episode, write_unit


def tiny_config(data: Path, **fit: int) -> GrootFitConfig:
    config = GrootFitConfig.of_preset("tiny", (str(data),))
    return replace(config, fit=replace(config.fit, steps=4, log_every=1, **fit), batch_size=4)


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in load_policy(folder).network.parameters()])


def observation(policy: GrootPolicy) -> Observation:
    random = np.random.default_rng(0)
    return Observation(
        images={view: random.integers(0, 255, (48, 64, 3), dtype=np.uint8) for view in policy.info.views},
        state={part: np.zeros(size, np.float32) for part, size in policy.info.state.items()},
        instruction="go",
    )


def test_a_fit_stopped_halfway_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "d").root
    fit_policy(tiny_config(data), tmp_path / "straight", tensorboard=False)
    fit_policy(tiny_config(data, save_every=1), tmp_path / "resumed", stop_at=2, tensorboard=False)
    write_unit(data, [tiny_episode(99)])  # what comes while it trains does not change it
    fit_policy(tiny_config(data), tmp_path / "resumed", tensorboard=False)
    assert torch.equal(weights(tmp_path / "straight"), weights(tmp_path / "resumed"))


def test_going_on_with_other_data_sets_is_refused_by_their_names(tmp_path: Path) -> None:
    data, other = (tiny_dataset(tmp_path / name).root for name in ("d", "e"))
    fit_policy(tiny_config(data, save_every=1), tmp_path / "m", stop_at=1, tensorboard=False)
    with pytest.raises(ConfigError, match=f"was begun on {data}"):
        fit_policy(tiny_config(other), tmp_path / "m", tensorboard=False)


def test_a_source_of_weight_zero_does_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    data, other = (tiny_dataset(tmp_path / name).root for name in ("d", "e"))
    config = tiny_config(data, save_every=1)
    silent = replace(config.mixture.sources[0], dataset=str(other), weight=0.0)
    config = replace(config, mixture=replace(config.mixture, sources=(*config.mixture.sources, silent)))
    assert any("weight 0" in line for line in fit_policy(config, tmp_path / "m", stop_at=1, tensorboard=False).left_out)
    assert fit_policy(config, tmp_path / "m", tensorboard=False).result.steps == 4


def test_a_fitted_policy_acts_in_physical_units_and_follows_its_seed(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "d").root
    fit_policy(tiny_config(data), tmp_path / "m", tensorboard=False)
    policy = GrootPolicy.load(tmp_path / "m")
    seen = observation(policy)
    one, again, other = (policy.act(seen, seed=seed) for seed in (1, 1, 2))
    assert {part: chunk.shape for part, chunk in one.items()} == {
        "position_delta": (6, 3),
        "rotation_delta": (6, 3),
        "gripper": (6, 1),
    }
    assert all(np.array_equal(one[part], again[part]) for part in one)
    assert not np.array_equal(one["gripper"], other["gripper"])


def test_an_observation_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    fit_policy(tiny_config(tiny_dataset(tmp_path / "d").root), tmp_path / "m", tensorboard=False)
    policy = GrootPolicy.load(tmp_path / "m")
    seen = observation(policy)
    with pytest.raises(InputError, match="lacks the views"):
        policy.act(replace(seen, images={}))
    with pytest.raises(SchemaError, match=r"gripper.*NaN"):
        policy.act(replace(seen, state={**seen.state, "gripper": np.full(2, np.nan)}))
    with pytest.raises(SchemaError, match=r"gripper.*2 numbers"):
        policy.act(replace(seen, state={**seen.state, "gripper": np.zeros(3)}))


def test_post_training_begins_from_a_checkpoint_of_the_same_preset_alone(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "d").root
    fit_policy(tiny_config(data), tmp_path / "m", tensorboard=False)
    later = replace(tiny_config(data), initial=str(tmp_path / "m"))
    still = replace(later, fit=replace(later.fit, learning_rate=1e-12))
    fit_policy(still, tmp_path / "n", tensorboard=False)
    assert torch.allclose(weights(tmp_path / "m"), weights(tmp_path / "n"), atol=1e-6)
    other = replace(later, model=replace(later.model, name="starter"))
    with pytest.raises(ConfigError, match="preset"):
        fit_policy(other, tmp_path / "o", tensorboard=False)


def test_post_training_on_recorded_actions_begins_from_a_model_that_was_trained_on_wider_latents(
    tmp_path: Path,
) -> None:
    data = tiny_dataset(tmp_path / "d").root
    latent = {"action/latent": np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)}
    silent = [tiny_episode(seed, arrays={**latent, "label/valid/latent": np.ones(12, bool)}) for seed in (7, 8)]
    Dataset.create(tmp_path / "l", name="l")
    write_unit(tmp_path / "l", silent)
    both = MixtureSource(dataset=str(tmp_path / "l"), kinds=("latent",))
    config = tiny_config(data)
    wide = replace(config, mixture=replace(config.mixture, stage="pretrain", sources=(*config.mixture.sources, both)))
    fit_policy(wide, tmp_path / "wide", tensorboard=False)
    before = load_policy(tmp_path / "wide")
    still = replace(config, initial=str(tmp_path / "wide"), fit=replace(config.fit, learning_rate=1e-12))
    after = fit_policy(still, tmp_path / "n", tensorboard=False).policy
    slot, size = before.heads["panda"].slot, before.heads["panda"].action_size
    assert before.config.head.action_size > after.config.head.action_size == size
    assert after.heads["panda"].slot == slot
    name = "head.action_decoder.second.weight"
    one, other = (policy.network.state_dict()[name][slot, :, :size] for policy in (before, after))
    assert torch.allclose(one, other, atol=1e-6)


def test_more_cameras_than_the_model_has_views_ask_for_a_choice(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "d", cameras=("a", "b", "c")).root
    with pytest.raises(ConfigError, match=r"views: \{front"):
        fit_policy(tiny_config(data), tmp_path / "m", tensorboard=False)
