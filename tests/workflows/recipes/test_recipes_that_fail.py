"""What goes wrong in the middle of a recipe: the step and the reason are named, what is finished stays, and the same
recipe goes on once it is put right."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.testing.fragile_plugin import write_fragile_plugin
from storage.datasets.dataset import Dataset
from storage.errors import AlreadyWrittenError, ConfigError, MissingFileError, WorkFailedError
from storage.formats.testing import tiny_lerobot
from storage.testing import assert_sound
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe
from workflows.steps import fit


def recipe(folder: Path, *steps: dict[str, Any], plugins: tuple[str, ...] = ()) -> Path:
    """A recipe that imports three recordings and then does `steps`."""
    if not (folder / "recordings").exists():
        tiny_lerobot(folder / "recordings")
    first = {"import": {"name": "real", "path": str(folder / "recordings")}}
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump({"name": "r", "plugins": list(plugins), "steps": [first, *steps]}))
    return file


def run(file: Path, root: Path) -> list[str]:
    return list(run_recipe(load_recipe(file), RunContext(root=root)))


def commits(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("manifest/*.json")}


def test_a_stage_that_fails_in_the_middle_is_named_with_its_step_and_the_rest_is_done_later(tmp_path: Path) -> None:
    write_fragile_plugin(tmp_path / "fragile.py", 'raise ValueError("the lens is broken")')
    look = {"stages": {"name": "look", "chain": ["fragile"], "sink": "labels/look"}}
    file = recipe(tmp_path, look, {"statistics": {}}, plugins=("fragile.py",))
    root = tmp_path / "data"
    with pytest.raises(WorkFailedError) as told:
        run(file, root)
    for part in (
        "step 2 of 3 (stages look): ",
        "job 'look'",
        "fragile: ValueError: the lens is broken",
        "finished stays",
    ):
        assert part in str(told.value)
    before = commits(root)
    assert len(before) == 1
    (tmp_path / "mended").touch()
    assert len(run(file, root)) == 3
    assert commits(root).items() > before.items()
    assert_sound(root)


def test_a_recipe_that_needs_what_is_not_there_names_its_step(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"step 2 of 2 \(evaluate lift\): .*card\.json"):
        run(recipe(tmp_path, {"evaluate": {"model": "@dataset/models/no", "task": "lift"}}), tmp_path / "data")


def test_an_artifact_that_was_changed_by_hand_names_its_step_and_goes_on_when_it_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitter(paths: list[Path], folder: Path, **_: object) -> str:
        (folder / "weights").write_text("as fitted")
        return "fitted"

    monkeypatch.setattr(fit, "FITTERS", {"idm": fitter})
    file, root = recipe(tmp_path, {"fit": {"kind": "idm"}}, {"statistics": {}}), tmp_path / "data"
    run(file, root)
    weights = root / "models/idm/weights"
    weights.write_text("edited")
    with pytest.raises(
        AlreadyWrittenError, match=r"step 2 of 3 \(fit idm\): .*models/idm was changed.*put the files back"
    ):
        run(file, root)
    assert weights.read_text() == "edited"
    weights.write_text("as fitted")
    assert "already" in run(file, root)[1]


def test_a_layer_that_no_judge_lets_through_ends_the_run_with_its_reasons_or_is_only_named(tmp_path: Path) -> None:
    root = tmp_path / "data"

    def judged(**select: Any) -> list[str]:
        return run(recipe(tmp_path, {"judge": {"kind": "rules"}}, {"select": select}, {"statistics": {}}), root)

    with pytest.raises(
        WorkFailedError, match=r"step 3 of 4 \(select good\): .*nothing is left of layer real \(3 episodes: length 3\)"
    ):
        judged(thresholds={"length": 1000})
    assert len(Dataset.open(root, labels=("rules",))) == 3
    before = commits(root)
    assert "nothing is left of layer real" in judged(thresholds={"length": 1000}, empty="keep")[2]
    assert judged(thresholds={"length": 1, "motion": 0, "blur": 0})[2].startswith("selection 'good': ")
    assert commits(root) == before


def test_what_becomes_of_an_empty_layer_is_one_of_two_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        run(recipe(tmp_path, {"select": {"empty": "drop"}}), tmp_path / "data")
