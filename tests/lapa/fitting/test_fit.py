"""Fitting: resume, held-out episodes, labels, early end of a collapsed run, what the card says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groot.fit import FitConfig
from lapa.fitting.batches import BatchConfig
from lapa.fitting.fit import LapaFit, LapaFitConfig, fit
from lapa.fitting.health import CollapseRule
from lapa.labelling.saved_model import load_lapa
from lapa.network.losses import LapaLossConfig
from lapa.network.quantizer import QuantizerConfig
from lapa.testing import CONFIG, fit_tiny, moving_dataset, tiny_fit_config
from storage.datasets.dataset import Dataset
from storage.errors import InputError, UnknownNameError
from storage.training_reader.training_data import TrainingData


def weights(made: LapaFit) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in made.model.network.state_dict().values()])


def test_two_steps_and_two_more_are_four_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(tiny_fit_config(steps=4), batches=BatchConfig(batch=8, labelled_share=0.1, label_batch=4))
    straight = fit_tiny(tmp_path / "straight", config)
    from lapa.fitting import fit as module

    whole = module.run_fit
    monkeypatch.setattr(module, "run_fit", lambda *a, **k: whole(*a, **k, stop_at=2))
    fit_tiny(tmp_path / "resumed", config)
    monkeypatch.setattr(module, "run_fit", whole)
    resumed = fit_tiny(tmp_path / "resumed", config)
    assert torch.equal(weights(straight), weights(resumed))


def test_a_model_read_back_is_the_model_that_was_saved(fitted: tuple[LapaFit, Path]) -> None:
    made, folder = fitted
    loaded = load_lapa(folder)
    assert loaded.card.content_hash == made.model.content_hash
    assert loaded.clips.windows == CONFIG.windows
    assert loaded.failures == ()
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, made.model.network.state_dict()[name])


def test_a_collapsed_run_stops_early_and_the_card_says_why(tmp_path: Path) -> None:
    config = tiny_fit_config(steps=40)
    config = replace(
        config,
        loss=LapaLossConfig(scale=1e6),  # nothing left to learn from: the codes never come to matter
        training=replace(config.training, validate_every=5),
        collapse=CollapseRule(after_step=10),
    )
    made = fit_tiny(tmp_path / "model", config)
    assert made.result.steps < 40
    assert "the model has collapsed" in made.result.stopped
    assert any("collapsed" in failure for failure in load_lapa(tmp_path / "model").failures)


@pytest.mark.parametrize(
    "model",
    [
        {"quantizer": QuantizerConfig(kind="fsq", levels=(3, 3))},
        {"quantizer": QuantizerConfig(kind="residual", codebook_size=4)},
        {"quantizer": QuantizerConfig(kind="nsvq", codebook_size=8)},
        {"quantizer": QuantizerConfig(kind="none")},
    ],
    ids=["fsq", "residual", "nsvq", "none"],
)
def test_every_bottleneck_trains_and_comes_back(tmp_path: Path, model: dict[str, QuantizerConfig]) -> None:
    config = tiny_fit_config(steps=3)
    made = fit_tiny(tmp_path / "model", replace(config, model=replace(config.model, **model)))
    assert load_lapa(tmp_path / "model").config.quantizer == model["quantizer"]
    assert made.result.history[-1]["loss"] > 0


def test_options_of_the_loss_add_their_parts(tmp_path: Path) -> None:
    config = replace(
        tiny_fit_config(steps=2),
        loss=LapaLossConfig(swap=1.0),
        batches=BatchConfig(batch=8, labelled_share=0.1, label_batch=4),
    )
    made = fit_tiny(tmp_path / "model", config)
    assert {"reconstruction", "commitment", "swap", "label"} <= made.result.history[-1].keys()
    assert dict(made.model.config.labels) == {"so_arm": 6}


def test_fitting_to_a_data_set_names_it_on_the_card(tmp_path: Path) -> None:
    moving_dataset(tmp_path / "data", episodes=8)
    config = replace(tiny_fit_config(steps=2), batches=BatchConfig(batch=4))
    data = TrainingData(dataset=Dataset.open(tmp_path / "data"), action="", held_out_share=0.25)
    made = fit([data], config, tmp_path / "model")
    assert made.model.card.data["datasets"] == ["moving"]
    assert len(made.model.card.data["held_out"]) == 2
    assert made.model.card.data["masked_steps"]["no window"] > 0
    assert made.failures  # two steps make no model


def test_a_data_set_of_one_episode_cannot_hold_one_out(tmp_path: Path) -> None:
    moving_dataset(tmp_path / "data", episodes=1)
    data = TrainingData(dataset=Dataset.open(tmp_path / "data"), action="")
    with pytest.raises(InputError, match="at least 2 episodes are needed"):
        fit([data], tiny_fit_config(steps=2), tmp_path / "model")


def test_presets_take_steps_and_refuse_names_they_do_not_know() -> None:
    assert LapaFitConfig.of_preset("starter", steps=7).training.steps == 7
    with pytest.raises(UnknownNameError, match="did you mean starter"):
        LapaFitConfig.of_preset("startr")
    assert FitConfig(steps=1).steps == 1
