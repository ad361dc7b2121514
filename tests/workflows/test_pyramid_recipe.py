"""The shipped recipe of the whole pyramid, in small: every layer, a policy, its roll-outs, and nothing done twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from storage.datasets.dataset import Dataset
from storage.testing import assert_sound
from workflows.recipes.recipe import find_recipe, load_recipe
from workflows.recipes.run_context import RunContext
from workflows.steps.stand_in import StandInStep, run_stand_in, stand_ins

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"generate": {"keep": 4}, "dream": {"count": 2}, "fit": {"steps": 6}, "evaluate": {"scenes": 1}}


def small_recipe(folder: Path) -> Path:
    recipe = yaml.safe_load(find_recipe("pyramid").read_text())
    for step in recipe["steps"]:
        ((kind, settings),) = step.items()
        settings |= SMALL.get(kind, {})
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def run(recipe: Path, output: Path) -> list[str]:
    command = [sys.executable, "-m", "workflows", "run", str(recipe), "--output", str(output), "--engine", "local"]
    environment = {name: value for name, value in os.environ.items() if name not in ("VIDEOS", "PYRAMID_REAL_DATA")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_the_recipe_names_every_part_of_the_pyramid(tmp_path: Path) -> None:
    kinds = [step.kind for step in load_recipe(find_recipe("pyramid"), output=str(tmp_path)).steps]
    assert kinds[:4] == ["watch", "import", "generate", "dream"]
    assert {"label", "judge", "select", "fit", "evaluate", "report"} <= set(kinds)


def test_the_demo_has_every_layer_and_ends_with_a_policy_that_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIDEOS", "PYRAMID_REAL_DATA"):
        monkeypatch.delenv(name, raising=False)
    steps = [step for step in load_recipe(find_recipe("demo")).steps if step.wanted]
    assert [step.config.layer for step in steps if step.kind == "stand_in"] == ["human", "real"]
    assert {"generate", "dream", "label", "judge"} <= {step.kind for step in steps}
    assert [step.kind for step in steps[-2:]] == ["evaluate", "report"]


@pytest.mark.slow
def test_stand_ins_come_in_like_the_real_thing_once_and_say_what_they_are(tmp_path: Path) -> None:
    context = RunContext(root=tmp_path / "data", seed=3)
    steps = [StandInStep(layer=layer, count=1, size_px=64, instead="bring yours") for layer in ("human", "real")]
    for step in (*steps, *steps):
        run_stand_in(context, step)
    found = {episode.layer: episode for episode in context.dataset().episodes()}
    assert len(context.dataset()) == len(found) == 2
    assert not any(name == "state" or name.startswith("action") for name in found["human"].arrays)
    assert {"state", "action/ground_truth"} <= found["real"].arrays.keys()
    assert found["human"].instruction == found["real"].instruction != ""
    assert all("a stand-in; bring yours" in note for note in stand_ins(context.root).values())
    assert_sound(context.root)


@pytest.mark.slow
def test_the_whole_pyramid_in_small_runs_once_and_the_second_time_does_nothing_again(tmp_path: Path) -> None:
    recipe, output = small_recipe(tmp_path), tmp_path / "run"
    run(recipe, output)
    manifests = {path: path.stat().st_mtime_ns for path in output.rglob("manifest/*.json")}
    weights = {path: path.stat().st_mtime_ns for path in (output / "models").rglob("*.safetensors")}
    again = run(recipe, output)
    assert manifests == {path: path.stat().st_mtime_ns for path in output.rglob("manifest/*.json")}
    assert weights == {path: path.stat().st_mtime_ns for path in (output / "models").rglob("*.safetensors")}
    assert any("fitted to these episodes already" in line for line in again)
    layers = set(Dataset.open(output).index.table["layer"].to_pylist())
    assert layers == {"simulation", "neural"}
    assert_sound(output)
