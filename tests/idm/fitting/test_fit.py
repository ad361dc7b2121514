"""Fitting: it learns, it resumes exactly, it says what is wrong with the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from groot.fit import FitConfig
from idm.evaluation.evaluate import shift_scores
from idm.fitting.fit import IdmFitConfig, fit, fit_network
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.label import Labeller
from idm.labelling.saved_model import load_idm
from idm.network.augment import AugmentConfig
from idm.network.losses import IdmLossConfig
from idm.presets import preset
from idm.testing import PLACED, PUSHED, world_dataset, world_episode
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, SchemaError
from storage.ids import content_id
from storage.training_reader.training_data import TrainingData

CONFIG = IdmFitConfig(
    model=preset("tiny"),
    loss=IdmLossConfig(augment=AugmentConfig(shift=0.05, turn_rad=0.0, zoom=0.0)),
    fit=FitConfig(steps=320, learning_rate=3e-3, betas=(0.9, 0.99), average_decay=0.98, log_every=320),
    batch_size=32,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return world_dataset(tmp_path_factory.mktemp("world") / "data", embodiments=(PUSHED, PLACED), episodes=28)


@pytest.fixture(scope="module")
def fitted(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("model") / "model"
    fit([TrainingData(dataset=world, held_out_share=0.3)], CONFIG, output)
    return output


def test_one_small_model_learns_two_bodies(fitted: Path) -> None:
    scores = load_idm(fitted).card.metrics  # type: ignore[union-attr]
    assert scores[PLACED.name]["r2/joints"] > 0.9
    assert scores[PUSHED.name]["r2/latent"] > 0.5
    assert scores[PUSHED.name]["event_f1/2"] > 0.8
    assert 0.7 < scores[PLACED.name]["coverage"] <= 1.0


def test_the_saved_model_labels_as_the_card_says(fitted: Path) -> None:
    model = load_idm(fitted)
    episode = world_episode(777, PLACED)
    labels = Labeller(model).label(episode, PLACED.name)
    truth = episode.arrays["action/ground_truth"]
    error = np.abs(labels.action - truth)[labels.valid].mean()
    assert error < 0.1
    inside = np.abs(labels.action - truth) <= labels.interval
    assert inside[labels.valid].mean() > 0.6


def test_distractors_look_strange(fitted: Path) -> None:
    model = load_idm(fitted)
    clean = [world_episode(800 + n, PUSHED) for n in range(6)]
    strange = [world_episode(800 + n, PUSHED, distracted=True) for n in range(6)]
    assert shift_scores(model, PUSHED.name, clean, {"distractors": strange})["auroc/distractors"] > 0.9


def test_held_out_episodes_are_the_same_everywhere_and_never_trained_on(world: Dataset) -> None:
    data = TrainingData(dataset=world, held_out_share=0.25)
    train, held_out = data.episodes()
    assert (len(train), len(held_out)) == (42, 14)
    assert not train & held_out
    assert data.episodes() == (train, held_out)
    named = TrainingData(dataset=world, held_out=frozenset(sorted(train)[:2]))
    assert named.episodes()[1] == frozenset(sorted(train)[:2])
    with pytest.raises(ConfigError, match="has no episodes"):
        TrainingData(dataset=world, held_out=frozenset({"nobody"})).episodes()


@pytest.mark.parametrize("head", ["regression", "flow"])
def test_two_steps_and_resume_and_two_steps_equal_four_steps(world: Dataset, tmp_path: Path, head: str) -> None:
    short = replace(
        CONFIG,
        model=replace(CONFIG.model, head=head),  # type: ignore[arg-type]
        fit=replace(CONFIG.fit, steps=4),
        batch_size=8,
    )
    data = [TrainingData(dataset=world, held_out_share=0.0)]
    straight = fit_network(data, short)[0]
    fit_network(data, short, folder=tmp_path, stop_at=2)
    resumed = fit_network(data, short, folder=tmp_path)[0]
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_flow_head_trains_and_samples(world: Dataset) -> None:
    flow = replace(CONFIG, model=replace(CONFIG.model, head="flow"), fit=replace(CONFIG.fit, steps=3), batch_size=8)
    network, shape, targets, result = fit_network([TrainingData(dataset=world)], flow)
    assert result.history[-1]["flow"] > 0
    images = torch.randint(0, 255, (5, 2, 1, 32, 32, 3), dtype=torch.uint8)
    features = network.encode(images.transpose(0, 1).flatten(0, 2))
    now, later = tuple(f[:5] for f in features), tuple(f[5:] for f in features)
    tokens = network.tokens(now, later)[:, None]
    slots = torch.tensor([0, 1, 0, 1, 0])
    with torch.no_grad():
        together = network.predict(tokens, slots).motion
        alone = network.predict(tokens[2:3], slots[2:3]).motion
    assert together.shape == (
        shape.samples,
        5,
        shape.chunk_steps,
        max(head_targets.size for head_targets in targets.values()),
    )
    assert torch.allclose(together[:, 2:3], alone, atol=1e-4), "labels do not depend on the neighbours in the batch"


def test_targets_and_back_are_inverse() -> None:
    random = np.random.default_rng(0)
    chunks = random.normal(size=(200, 2, 3)).astype(np.float32)
    chunks[..., 2] = np.where(chunks[..., 2] > 0, 1, -1)
    head_targets = EmbodimentTargets.fitted(PUSHED, chunks)
    assert head_targets.switch.tolist() == [False, False, True]
    targets = head_targets.of(chunks)
    np.testing.assert_allclose(head_targets.motion_of(targets.motion)[..., :2], chunks[..., :2], atol=1e-5)
    np.testing.assert_array_equal(targets.switch[..., 2], chunks[..., 2] > 0)
    again = EmbodimentTargets.from_json(head_targets.to_json())
    np.testing.assert_array_equal(again.of(chunks).motion, targets.motion)


def test_paths_are_split_into_anchor_and_motion() -> None:
    chunks = np.random.default_rng(0).normal(size=(200, 4, 2)).astype(np.float32)
    head_targets = EmbodimentTargets.fitted(PLACED, chunks)
    targets = head_targets.of(chunks)
    assert not targets.motion[:, 0].any(), "motion is counted from the first step"
    whole = head_targets.anchor_of(targets.anchor)[:, None] + head_targets.motion_of(targets.motion)
    np.testing.assert_allclose(whole, chunks, atol=1e-5)


def test_nan_and_wrong_widths_in_training_actions_are_refused() -> None:
    chunks = np.zeros((10, 2, 2), np.float32)
    chunks[3, 1, 0] = np.nan
    with pytest.raises(SchemaError, match="NaN or infinity, first in window 3"):
        EmbodimentTargets.fitted(PLACED, chunks)
    with pytest.raises(SchemaError, match=r"are \(N, K, 2\)"):
        EmbodimentTargets.fitted(PLACED, np.zeros((10, 2, 5), np.float32))


def test_the_card_names_data_config_and_hash(fitted: Path) -> None:
    card = load_idm(fitted).card
    assert card is not None
    assert card.data["tiny world"]["training_episodes"] == 39
    assert card.preset == "tiny"
    assert len(card.content_hash) == len(content_id())


def test_held_out_clips_of_another_rate_are_refused_before_training_with_the_settings_that_fit(
    world: Dataset, tmp_path: Path
) -> None:
    data = [TrainingData(dataset=world, held_out_share=0.3)]
    other = replace(CONFIG, model=replace(CONFIG.model, chunk_steps=3))
    with pytest.raises(ConfigError, match=r"15 steps a second.*at 10 Hz.*chunk_steps: 2, chunk_s: 0\.2"):
        fit(data, other, tmp_path / "model", folder=tmp_path / "training")
    assert not (tmp_path / "training").exists()
