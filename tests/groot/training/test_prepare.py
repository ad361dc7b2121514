"""From windows to batches: one kind of action never reaches the head of another; confidence is a weight."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groot.fit import as_tensors
from groot.network.model import Groot, groot_loss
from groot.presets import preset
from groot.training.augment import AugmentConfig, augmented_images
from groot.training.fit_policy import _fitting, _prepare_config, _windows, views_of
from groot.training.head_statistics import HeadOptions, heads_of
from groot.training.label_check import refuse_nan
from groot.training.mixture import cells_of, split_episodes
from groot.training.mixture_config import Mixture, MixtureSource
from groot.training.policy_config import GrootFitConfig
from groot.training.prepare import Prepare
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.testing import tiny_episode, write_unit
from storage.training_reader.windows import Windows


def labelled(root: Path, *, scale: float = 1.0, confidence: float = 0.25, nan_at: int = -1) -> Path:
    """Panda episodes with recorded, predicted and latent actions; the predicted ones are `scale` times noise."""
    Dataset.create(root, name="labelled")
    episodes = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        predicted = (scale * random.normal(size=(12, 7))).astype(np.float32)
        latent = random.normal(size=(12, 5)).astype(np.float32)
        if nan_at >= 0:
            latent[nan_at] = np.nan
        arrays: dict[str, Any] = {
            "action/predicted": predicted,
            "action/latent": latent,
            "label/valid/latent": np.arange(12) != 3,
            "label/confidence/predicted": np.full((12, 3), confidence, np.float32),
            "label/valid/predicted": np.arange(12) != 3,
        }
        episodes.append(tiny_episode(seed, length=12, arrays=arrays))
    write_unit(root, episodes)
    return root


def prepared(root: Path, kinds: tuple[str, ...], **mixture: Any) -> tuple[Windows, Prepare, Groot]:
    config = GrootFitConfig.of_preset("tiny")
    source = MixtureSource(dataset=str(root), kinds=kinds)
    config = GrootFitConfig(
        model=config.model, fit=config.fit, mixture=Mixture(sources=(source,), **mixture), held_out_share=0.0
    )
    cells, _ = cells_of(config.mixture)
    sources, _ = split_episodes(cells, 0.0)
    views = views_of(config, cells)
    windows_config = _windows(config, cells, views)
    heads = heads_of(cells, sources, windows_config, HeadOptions())
    model_config = _fitting(preset("tiny"), heads, views)
    windows = Windows(sources, windows_config)
    torch.manual_seed(0)
    prepare = Prepare(_prepare_config(config, model_config, views), [heads[name] for name in windows.embodiments])
    return windows, prepare, Groot(model_config)


def batch_of(windows: Windows, prepare: Prepare) -> Any:
    return prepare(windows.__getitems__(list(range(len(windows)))))


def test_a_batch_of_one_kind_gives_no_gradient_to_the_heads_of_others(tmp_path: Path) -> None:
    windows, prepare, model = prepared(labelled(tmp_path / "d"), ("ground_truth", "predicted", "latent"))
    batch = batch_of(windows, prepare)
    for head in prepare.heads:
        rows = batch["slot"] == head.slot
        alone = as_tensors({name: value[rows] for name, value in batch.items()})
        model.zero_grad()
        groot_loss(model.train(), alone)["loss"].backward()
        for bank in (model.head.action_decoder.second, model.head.action_encoder.action):
            assert bank.weight.grad is not None
            reached = bank.weight.grad.flatten(1).abs().sum(dim=1) > 0
            assert reached.nonzero().flatten().tolist() == [head.slot]


def test_other_predictions_leave_batches_of_recorded_actions_as_they_were(tmp_path: Path) -> None:
    one, other = (
        batch_of(*prepared(labelled(tmp_path / name, scale=scale), ("ground_truth",))[:2])
        for name, scale in (("a", 1.0), ("b", 50.0))
    )
    for name in ("actions", "mask", "state", "images"):
        assert np.array_equal(one[name], other[name])


def test_confidence_weighs_cuts_or_does_nothing(tmp_path: Path) -> None:
    root = labelled(tmp_path / "d", confidence=0.25)
    masks = {
        use: batch_of(*prepared(root, ("predicted",), confidence=use, confidence_cut=0.3)[:2])["mask"]
        for use in ("off", "weighted", "cut", "share")
    }
    assert set(np.unique(masks["off"])) == {0.0, 1.0}
    assert np.allclose(masks["weighted"], 0.25 * masks["off"])
    assert not masks["cut"].any()
    assert np.array_equal(masks["share"], masks["off"])


def test_unsure_labels_get_as_much_less_of_the_stream(tmp_path: Path) -> None:
    root = labelled(tmp_path / "d", confidence=0.25)
    source = MixtureSource(dataset=str(root), kinds=("ground_truth", "predicted"))
    shares = {
        use: {cell.kind: cell.weight for cell in cells_of(Mixture(sources=(source,), confidence=use))[0]}
        for use in ("off", "share")
    }
    assert shares["off"]["predicted"] == shares["off"]["ground_truth"]
    assert shares["share"]["predicted"] == pytest.approx(0.25 * shares["share"]["ground_truth"])


def test_invalid_steps_have_no_weight_and_no_content(tmp_path: Path) -> None:
    windows, prepare, _ = prepared(labelled(tmp_path / "d"), ("predicted",))
    batch = batch_of(windows, prepare)
    first = windows.__getitems__([0])
    assert first["step"][0] == 0
    assert not batch["mask"][0, 3].any()
    assert not batch["actions"][0, 3].any()


def test_latent_heads_take_no_state(tmp_path: Path) -> None:
    windows, prepare, _ = prepared(labelled(tmp_path / "d"), ("ground_truth", "latent"))
    batch = batch_of(windows, prepare)
    slots = {head.name: head.slot for head in prepare.heads}
    assert not batch["state"][batch["slot"] == slots["latent"]].any()
    assert batch["state"][batch["slot"] == slots["panda"]].any()


def test_nan_in_a_valid_label_is_refused_by_name(tmp_path: Path) -> None:
    root = labelled(tmp_path / "d", nan_at=5)
    cells, _ = cells_of(Mixture(sources=(MixtureSource(dataset=str(root), kinds=("latent",)),)))
    with pytest.raises(ConfigError, match=r"action/latent is NaN.*row 5"):
        refuse_nan(cells)
    masked, _ = cells_of(Mixture(sources=(MixtureSource(dataset=str(labelled(tmp_path / "e", nan_at=3))),)))
    refuse_nan(masked)


def test_augmentation_moves_pictures_and_says_by_how_much() -> None:
    images = np.zeros((1, 1, 40, 40, 3), np.uint8)
    images[0, 0, 20, 20] = 255
    random = np.random.default_rng(0)
    moved, shift = augmented_images(images, AugmentConfig(shift_share=0.2), random)
    row, column = np.argwhere(moved[0, 0, :, :, 0])[0]
    assert (column - 20, row - 20) == tuple(np.round(shift[0] * 40).astype(int))
    assert (row, column) != (20, 20)
