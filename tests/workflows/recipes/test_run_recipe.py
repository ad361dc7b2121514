"""Running recipes: the whole road on tiny recordings, again for nothing, and with the same result as it wrote down."""

import json
from pathlib import Path

import pytest
import yaml

from storage.datasets.dataset import Dataset
from storage.errors import AlreadyWrittenError, ConfigError, UnknownNameError
from storage.formats.testing import tiny_lerobot
from storage.testing import assert_sound, tiny_dataset
from storage.verification.verify import verify
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import RECIPE_FILE, describe_recipe, run_recipe
from workflows.status import status_of
from workflows.steps.label import LabelStep, label_job


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """A recipe that imports tiny recordings, reads them back and reports."""
    steps = [
        {"import": {"name": "real", "path": str(tiny_lerobot(tmp_path / "recordings"))}},
        {"statistics": {}},
        {"read_batches": {"batches": 2, "batch_size": 4, "horizon_steps": 4}},
        {"report": {"gallery": 1}},
    ]
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({"name": "tiny", "output": str(tmp_path / "run"), "steps": steps}))
    return file


def run(file: Path, root: Path) -> list[str]:
    return list(run_recipe(load_recipe(file), RunContext(root=root)))


def test_every_step_leaves_what_it_promises(recipe_file: Path, tmp_path: Path) -> None:
    lines = run(recipe_file, tmp_path / "run")
    assert len(lines) == 4
    assert_sound(tmp_path / "run")
    read = json.loads((tmp_path / "run" / "training_read.json").read_text())
    assert read["windows read"] == 8
    assert "windows read" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "statistics" / "merged.json").exists()


def test_running_again_does_nothing_twice(recipe_file: Path, tmp_path: Path) -> None:
    run(recipe_file, tmp_path / "run")
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "shards").rglob("*")}
    run(recipe_file, tmp_path / "run")
    assert shards == {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "shards").rglob("*")}
    assert [job["open_units"] for job in status_of(tmp_path / "run")] == [0]


def test_the_recipe_that_a_run_wrote_gives_the_same_bytes(recipe_file: Path, tmp_path: Path) -> None:
    run(recipe_file, tmp_path / "run")
    run(tmp_path / "run" / RECIPE_FILE, tmp_path / "again")
    assert Dataset.open(tmp_path / "run").units() == Dataset.open(tmp_path / "again").units()
    for path in (tmp_path / "run" / "shards").rglob("c.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "run")).read_bytes()


def test_a_job_of_the_same_name_with_other_settings_is_refused_and_loses_nothing(
    recipe_file: Path, tmp_path: Path
) -> None:
    run(recipe_file, tmp_path / "run")
    other = recipe_file.read_text().replace("name: real", "limit: 1\n    codec: high\n    name: real")
    recipe_file.write_text(other)
    with pytest.raises(AlreadyWrittenError, match="same name"):
        run(recipe_file, tmp_path / "run")
    assert verify(tmp_path / "run") == []


def test_a_dry_run_leaves_steps_open_that_follow_from_others(recipe_file: Path, tmp_path: Path) -> None:
    written = yaml.safe_load(recipe_file.read_text())
    written["steps"].insert(1, {"label": {"kind": "lapa", "model": "starter"}})
    recipe_file.write_text(yaml.safe_dump(written))
    shown = describe_recipe(load_recipe(recipe_file), RunContext(root=tmp_path / "run"))
    assert "import_episodes" in shown
    assert "planned when the steps before it have run" in shown


@pytest.mark.parametrize(
    ("where", "said"), [("{task: lfit}", "'lfit'; did you mean lift"), ("{task: lift, placement: D9}", "D1")]
)
def test_roll_outs_that_cannot_be_are_refused_before_the_first_step(tmp_path: Path, where: str, said: str) -> None:
    settings = {"model": "starter", **yaml.safe_load(where)}
    steps = [{"import": {"path": str(tiny_lerobot(tmp_path / "recordings"))}}, {"evaluate": settings}]
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({"name": "tiny", "steps": steps}))
    with pytest.raises(UnknownNameError, match=said):
        run(file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_video_cannot_be_labelled(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", cameras=())
    with pytest.raises(ConfigError, match="no episodes with video"):
        label_job(RunContext(root=tmp_path / "data"), LabelStep(kind="lapa", model="starter"))
