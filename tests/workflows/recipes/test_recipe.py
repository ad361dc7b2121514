"""Recipes: what is read, what is refused, and that a resolved recipe is the same recipe."""

from pathlib import Path

import pytest
import yaml

from pipelines.job import Job, UnitItems
from storage.errors import ConfigError, MissingFileError, UnknownNameError
from workflows.recipes.recipe import find_recipe, load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe
from workflows.steps import STEPS
from workflows.steps.step_kind import JobStep


def write(path: Path, text: str) -> Path:
    file = path / "recipe.yaml"
    file.write_text(text)
    return file


def test_every_shipped_recipe_loads() -> None:
    for path in find_recipe("demo").parent.glob("*.yaml"):
        assert load_recipe(path).steps


def test_a_resolved_recipe_loads_as_itself(tmp_path: Path) -> None:
    recipe = load_recipe(find_recipe("demo"))
    again = load_recipe(write(tmp_path, yaml.safe_dump(recipe.resolved())))
    assert again.resolved() == recipe.resolved()


def test_an_unknown_step_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown step .*'generat'; did you mean generate"):
        load_recipe(write(tmp_path, "name: x\nsteps:\n  - generat: {task: stack}\n"))


def test_a_mistyped_setting_names_the_step_and_the_nearest_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"step 1 \(read_batches\).*batchs.*batches"):
        load_recipe(write(tmp_path, "name: x\nsteps:\n  - read_batches: {batchs: 3}\n"))


def test_a_mistyped_top_level_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sead.*seed"):
        load_recipe(write(tmp_path, "name: x\nsead: 3\nsteps:\n  - statistics: {}\n"))


def test_a_wrong_type_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batches"):
        load_recipe(write(tmp_path, "name: x\nsteps:\n  - read_batches: {batches: many}\n"))


def test_broken_yaml_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_recipe(write(tmp_path, "name: [x\n"))


def test_two_keys_in_one_step_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a step is one key"):
        load_recipe(write(tmp_path, "name: x\nsteps:\n  - {statistics: {}, report: {}}\n"))


def test_a_missing_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(MissingFileError, match=r"shipped recipes are .*demo"):
        find_recipe("no-such-recipe")


def test_a_resolved_recipe_refers_to_variables_of_the_environment_and_holds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    text = "name: r\nsteps:\n  - import: {name: x, path: '${SECRET}/data', cameras: ['${SECRET}', 'b']}\n"
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.steps[0].config.path == "s3cr3t/data"
    written = yaml.safe_dump(recipe.resolved())
    assert "s3cr3t" not in written
    assert load_recipe(write(tmp_path, written)).steps[0].config == recipe.steps[0].config


def test_variables_that_were_given_are_written_into_the_resolved_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, "name: r\nsteps:\n  - import: {name: x, path: '${WHERE}/data'}\n")
    (step,) = load_recipe(path, variables={"WHERE": "/here"}).resolved()["steps"]
    assert step["import"]["path"] == "/here/data"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: x\nsteps: []\n".encode("utf-16"), "save it as UTF-8"),
        (b"a: &a [x]\nb: [*a, *a]\n", "aliases"),
        (b"[" * 5000, "nested too deeply|not valid YAML"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"x: " + b"y" * (1 << 20), "at most 1024 KB"),
    ],
)
def test_what_is_no_recipe_is_one_clear_message(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nsys.exit(0)", "line 2 cannot be loaded: SystemExit: 0"),
        ("x = 1\n\ny = z", "line 3 cannot be loaded: NameError"),
        ("def f(:", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_plugin_that_does_not_load_is_one_clear_message(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "plugin.py").write_text(code)
    recipe = load_recipe(write(tmp_path, "name: r\nplugins: [plugin.py]\nsteps:\n  - statistics: {}\n"))
    with pytest.raises(ConfigError, match=said):
        next(run_recipe(recipe, RunContext(root=tmp_path / "data")))


def test_a_seed_that_no_plan_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a seed is a whole number"):
        Job(name="x", stages=(), units=(UnitItems(items=({},)),), seed=1 << 64)


def test_variables_have_defaults_and_conditions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name: ${WHO:-nobody}\nsteps:\n  - statistics: {if_set: WHO}\n  - report: {if_unset: WHO}\n"
    monkeypatch.delenv("WHO", raising=False)
    unset = load_recipe(write(tmp_path, text))
    assert (unset.name, [step.kind for step in unset.steps if step.wanted]) == ("nobody", ["report"])
    monkeypatch.setenv("WHO", "me")
    set_ = load_recipe(write(tmp_path, text))
    assert (set_.name, [step.kind for step in set_.steps if step.wanted]) == ("me", ["statistics"])


def test_every_step_says_what_it_does() -> None:
    for kind in STEPS.values():
        assert (kind.job if isinstance(kind, JobStep) else kind.work).__doc__
