import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, MissingFileError, WorkFailedError
from storage.formats.human_video.testing import numbered_scene
from storage.formats.testing import tiny_video
from storage.testing import assert_sound
from storage.verdicts.selection import read_selection
from workflows.cli import app
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe
from workflows.relabel_report.collect import collect

RECIPE = """
name: small
output: unused
steps:
  - watch: {path: "${INPUT}", segment_s: 4, frames: copy}
  - near_duplicates: {}
  - select: {name: good}
  - relabel_report: {gallery: 2}
"""


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    tiny_video(folder / "a.mp4", numbered_scene(100, seed=1), rate=Fraction(20))
    tiny_video(folder / "copy of a.mp4", numbered_scene(100, seed=1), rate=Fraction(20))
    tiny_video(folder / "dark.mp4", np.zeros((40, 96, 128, 3), np.uint8), rate=Fraction(20))
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "captions.jsonl").write_text(json.dumps({"file": "a.mp4", "caption": "#C C moves the disc"}))
    return folder


def run(tmp_path: Path, videos: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    root = tmp_path / "data"
    recipe = load_recipe(tmp_path / "recipe.yaml", output=str(root), variables={"INPUT": str(videos)})
    list(run_recipe(recipe, RunContext(root=root)))
    return root


def test_videos_become_a_sound_data_set_with_a_selection_and_a_page(tmp_path: Path, videos: Path) -> None:
    root = run(tmp_path, videos)
    assert_sound(root)
    good = read_selection(root, "good")
    assert good.reasons() == {"near_duplicate": 1, "black": 1}
    kept = [Dataset.open(root).episode(name) for name in good.episodes]
    assert {episode.instruction for episode in kept} <= {"move the disc", ""}
    page = (root / "relabel.html").read_text()
    assert "broken.mp4" in page
    assert page.count("<video") == 1
    assert '<b>1</b><span class="soft">instructions' in page
    assert "No boxes: no model was named (--detector)" in page


def test_the_hours_of_the_page_add_up_to_what_came_in(tmp_path: Path, videos: Path) -> None:
    found = collect(run(tmp_path, videos), "good")
    assert found.hours_in == pytest.approx((5 + 5 + 2) / 3600)
    assert found.hours_kept == pytest.approx(5 / 3600)
    assert {row.what for row in found.rows} == {"kept", "stored, not selected", "not stored"}
    assert [file for file, _ in found.problems] == ["broken.mp4"]


def test_running_it_again_changes_nothing(tmp_path: Path, videos: Path) -> None:
    root = run(tmp_path, videos)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("shards/*/zarr.json")}
    run(tmp_path, videos)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("shards/*/zarr.json")} == before
    assert read_selection(root, "good").reasons() == {"near_duplicate": 1, "black": 1}


def test_a_folder_without_any_clip_is_a_failure_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/broken.mp4").write_bytes(b"no video")
    with pytest.raises(WorkFailedError, match=r"no clip was found.*bad input 1"):
        run(tmp_path, tmp_path / "videos")
    assert "broken.mp4" in (tmp_path / "data/relabel.html").read_text()


def test_the_page_is_written_also_where_a_step_before_it_fails(tmp_path: Path, videos: Path) -> None:
    failing = RECIPE.replace("  - relabel", f"  - label: {{kind: lapa, model: {tmp_path / 'gone'}}}\n  - relabel")
    (tmp_path / "failing.yaml").write_text(failing)
    recipe = load_recipe(tmp_path / "failing.yaml", output=str(tmp_path / "out"), variables={"INPUT": str(videos)})
    lines = []
    with pytest.raises(MissingFileError, match="gone"):
        lines.extend(run_recipe(recipe, RunContext(root=tmp_path / "out")))
    assert (tmp_path / "out/relabel.html").read_text().count("<video") == 1


def test_the_command_shows_its_plan_and_leaves_no_trace(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    app(["relabel", str(videos), "--output", "out", "--dry-run"], standalone_mode=False)
    assert "watch_video" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_models_that_are_named_add_boxes_and_what_no_model_is_named_for_is_said(tmp_path: Path, videos: Path) -> None:
    root = run(tmp_path, videos)
    steps = "steps:\n  - captions: {model: ''}\n  - boxes: {model: starter, settings: {stride_s: 1.0}}\n"
    (tmp_path / "models.yaml").write_text(f"name: models\noutput: unused\n{steps}")
    recipe = load_recipe(tmp_path / "models.yaml", output=str(root))
    captions, boxes = run_recipe(recipe, RunContext(root=root))
    assert captions == "captions: left out for 3 clips, no model is named (--captioner, --server)"
    assert boxes == "boxes: 1 clips; without: 2 no target object"
    found = Dataset.open(root, labels=("boxes",))
    (told,) = (each for each in found.episodes() if each.instruction)
    assert told.arrays["label/box"].shape == (told.length, 5)
    assert_sound(root)


def test_video_of_a_robot_is_labelled_with_its_actions_where_a_model_is_named(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    app(["relabel", str(videos), "--output", "out", "--dry-run"], standalone_mode=False)
    assert "kind='idm'" not in capsys.readouterr().out
    robot = ["--embodiment", "panda", "--idm", "starter"]
    app(["relabel", str(videos), "--output", "out", "--dry-run", *robot], standalone_mode=False)
    plan = capsys.readouterr().out
    assert "LabelStep(kind='idm', model='starter'" in plan
    assert "panda" in plan


def test_actions_are_not_asked_of_video_in_which_no_robot_is_named(tmp_path: Path, videos: Path) -> None:
    with pytest.raises(ConfigError, match="--embodiment says which robot"):
        app(["relabel", str(videos), "--output", str(tmp_path / "out"), "--idm", "starter"], standalone_mode=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--idm", "--latents", "--detector", "--captioner"])
def test_a_model_that_is_not_there_is_refused_before_anything_is_looked_at(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    robot = ["--embodiment", "panda"]
    with pytest.raises(MissingFileError, match=f"{option} gone is not there"):
        app(["relabel", str(videos), "--output", "out", *robot, option, "gone", "--dry-run"], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_the_options_of_the_command_name_the_models(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--captioner", "teacher", "--server", "http://localhost:1/v1", "--detector", "starter"]
    app(["relabel", str(videos), "--output", "out", "--dry-run", *options], standalone_mode=False)
    plan = capsys.readouterr().out
    assert "ModelStep(model='teacher', server='http://localhost:1/v1'" in plan
    assert "ModelStep(model='starter'" in plan
