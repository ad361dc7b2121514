"""Stages of one's own: in a recipe, from the command line, into labels and into a new data set."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.testing import assert_sound, same_episode, tiny_dataset
from workflows.cli import app
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import describe_recipe, run_recipe
from workflows.steps.stages import StagesStep, run_stages

OWN_STAGE = """
from dataclasses import dataclass
from pipelines.stage import Resources, Stage
from storage.outcomes import Dropped, Kept

@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    shortest: int = 10

class Length:
    def __init__(self, config):
        self._shortest = config.shortest

    def __call__(self, episodes, randomness):
        return [[self._judge(episode)] for episode in episodes]

    def _judge(self, episode):
        if episode.length < self._shortest:
            return Dropped(episode_id=episode.episode_id, reason="short", score=float(episode.length))
        return Kept(episode.adding(verdicts=({"judge": "length", "score": float(episode.length)},)))

STAGES = {"long_enough": Stage(call=f"{__file__}:Length", config=f"{__file__}:LengthConfig",
                               writes=frozenset({"verdicts"}), resources=Resources(memory_gb=0.1))}
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return tiny_dataset(tmp_path / "data")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pipelines.catalog._user_stages", {})
    path = tmp_path / "own_stage.py"
    path.write_text(OWN_STAGE)
    return path


def ids(root: Path) -> set[str]:
    return {episode.episode_id for episode in Dataset.open(root).episodes()}


def check_parted(source: Dataset, target: Path, *, shortest: int) -> None:
    """Kept and rejected are together the source, each episode once, and what is kept is what it was."""
    kept, rejected = ids(target), ids(target / "rejects")
    assert kept | rejected == ids(source.root)
    assert not kept & rejected
    assert kept == {episode.episode_id for episode in source.episodes() if episode.length >= shortest}
    listed = [json.loads(line) for line in (target / "rejects.jsonl").read_text().splitlines()]
    assert {each["episode_id"]: each["score"] for each in listed} == {
        each: float(source.episode(each).length) for each in rejected
    }
    for episode in Dataset.open(target / "rejects").episodes():
        assert episode.verdicts[-1]["reason"] == "short"
        before = source.episode(episode.episode_id)
        assert episode.cameras["front"].payloads[0] == before.cameras["front"].payloads[0]
    assert_sound(target)
    assert_sound(target / "rejects")


def test_a_recipe_runs_a_stage_of_its_own_into_labels_and_into_a_new_data_set(
    dataset: Dataset, plugin: Path, tmp_path: Path
) -> None:
    steps = [
        {"stages": {"name": "measured", "chain": [{"long_enough": {"shortest": 1}}], "sink": "labels/length"}},
        {"stages": {"name": "chosen", "chain": ["long_enough"], "sink": str(tmp_path / "chosen")}},
    ]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        yaml.safe_dump({"name": "mine", "output": str(dataset.root), "plugins": [plugin.name], "steps": steps})
    )
    loaded, context = load_recipe(recipe), RunContext(root=dataset.root)
    assert "long_enough v1" in describe_recipe(loaded, context)
    lines = list(run_recipe(loaded, context))
    assert list(run_recipe(loaded, context)) == lines
    labelled = Dataset.open(dataset.root, labels=("length",))
    assert all(episode.verdicts[-1]["judge"] == "length" for episode in labelled.episodes())
    check_parted(dataset, tmp_path / "chosen", shortest=10)


def test_the_command_does_the_same_with_a_condition_and_a_stage(dataset: Dataset, plugin: Path, tmp_path: Path) -> None:
    command = ["data", "subset", str(dataset.root), "--output", str(tmp_path / "new"), "--plugin", str(plugin)]
    command += ["--where", "layer == 'simulation'", "--stage", "long_enough: {shortest: 11}"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    check_parted(dataset, tmp_path / "new", shortest=11)


def test_where_everything_passes_nothing_is_rejected(dataset: Dataset, tmp_path: Path) -> None:
    step = StagesStep(name="all", chain=({"where": {"condition": "length > 0"}},), sink=str(tmp_path / "all"))
    run_stages(RunContext(root=dataset.root), step)
    assert (tmp_path / "all" / "rejects.jsonl").read_text() == ""
    assert not (tmp_path / "all" / "rejects").exists()
    for episode in Dataset.open(tmp_path / "all").episodes():
        assert same_episode(episode, dataset.episode(episode.episode_id))


def test_a_data_set_is_not_filtered_into_itself(dataset: Dataset) -> None:
    step = StagesStep(name="all", chain=({"where": {"condition": "length > 0"}},), sink=str(dataset.root))
    with pytest.raises(ConfigError, match="name the folder of a new one"):
        run_stages(RunContext(root=dataset.root), step)


@pytest.mark.parametrize("chain", [(), ({"where": {}, "again": {}},)])
def test_a_chain_that_cannot_be_meant_is_refused(chain: tuple[dict[str, dict[str, str]], ...]) -> None:
    with pytest.raises(ConfigError, match="chain"):
        StagesStep(name="x", chain=chain, sink="labels/x")
