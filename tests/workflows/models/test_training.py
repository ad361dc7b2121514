"""Recipes of policies, and the interval of a success rate."""

from pathlib import Path

import pytest

from storage.errors import ConfigError
from workflows.models.roll_outs import RollOutPlan, rate, roll_out_job
from workflows.models.training import fit_config


def recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_recipe_replaces_parts_of_its_preset_and_named_data_its_sources(tmp_path: Path) -> None:
    written = recipe(
        tmp_path, "preset: tiny\nbatch_size: 3\nfit: {steps: 7}\nmixture: {stage: posttrain, sources: [{dataset: a}]}\n"
    )
    config = fit_config([], preset="starter", recipe=written)
    assert (config.model.name, config.batch_size, config.fit.steps) == ("tiny", 3, 7)
    assert config.fit.learning_rate == 3e-3, "the preset's own"
    assert [source.dataset for source in config.mixture.sources] == ["a"]
    other = fit_config([Path("b")], preset="starter", recipe=written, steps=9)
    assert [source.dataset for source in other.mixture.sources] == ["b"]
    assert (other.mixture.stage, other.fit.steps) == ("posttrain", 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixture: {sources: [{dataset: a, wieght: 2}]}", "weight"),
        ("mixture: {balanced: layers, sources: [{dataset: a}]}", "balance"),
        ("mixture: {sources: [3]}", "source 1"),
        ("fit: {steps: many}", "steps"),
        ("{}", "nothing to train on"),
    ],
)
def test_what_a_recipe_cannot_mean_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_config([], preset="tiny", recipe=recipe(tmp_path, text))


def test_the_interval_is_wilsons() -> None:
    found = rate(8, 10)
    assert found["success"] == 0.8
    assert found["interval"] == [0.49, 0.943]


def test_every_scene_is_planned_once_and_other_scenes_are_another_job() -> None:
    job = roll_out_job(RollOutPlan(task="lift", scenes=7, scenes_per_unit=3), policy="p")
    assert [item["scene"] for unit in job.units for item in unit.items] == list(range(7))
    more = roll_out_job(RollOutPlan(task="lift", scenes=8, scenes_per_unit=3), policy="p")
    assert job.name != more.name
