"""`pyramid filter`: good clips as a selection, a reason for every other one, and nothing lost silently."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.engines.options import EngineOptions
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, CorruptFileError, MissingFileError, UnfitModelError
from storage.formats.video.captions import captions_in
from storage.formats.video.writer import write_video
from storage.testing import tiny_dataset
from workflows.judging.filtering import REJECTS, FilterConfig, run_filter
from workflows.recipes.run_context import RunContext
from workflows.report.verdicts import judged


def moving(seed: int = 0, *, steps: int = 24) -> list[np.ndarray]:
    """A disc that wanders over a textured ground."""
    random = np.random.default_rng(seed)
    ground = cv2.resize(random.integers(40, 200, (12, 16, 3), dtype=np.uint8), (128, 96), interpolation=cv2.INTER_CUBIC)
    frames = []
    for step in range(steps):
        frame = ground.copy()
        cv2.circle(frame, (20 + 3 * step, 20 + step + 7 * seed), 11, (250, 240, 30), -1)
        frames.append(frame)
    return frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good clip, a frozen one, a repeat of the first, a film, one that is no video, and an empty file."""
    source = tmp_path / "clips"
    source.mkdir()
    good = moving(0)
    write_video(good, source / "a_good.mp4", rate_hz=8)
    write_video([*moving(1)[:12], *[moving(1)[11]] * 12], source / "b_frozen.mp4", rate_hz=8)
    write_video(good, source / "c_again.mp4", rate_hz=8)
    write_video(moving(2, steps=40), source / "d_film.mp4", rate_hz=8)
    (source / "e_broken.mp4").write_bytes(b"no video at all" * 50)
    (source / "f_empty.mp4").write_bytes(b"")
    (source / "captions.csv").write_text('file,instruction\na_good.mp4,"lift, then place"\ngone.mp4,nobody\n')
    return source


def filtered(source: Path, root: Path, **settings: object) -> list[str]:
    return list(run_filter(RunContext(root=root, options=EngineOptions()), FilterConfig(source=source, **settings)))


def test_every_clip_is_kept_or_named_with_its_reason(folder: Path, tmp_path: Path) -> None:
    lines = filtered(folder, tmp_path / "out", longest_s=4.0)
    kept = [episode.instruction for episode in Dataset.open(tmp_path / "out", selection="good").episodes()]
    assert kept == ["lift, then place"]
    rejects = [json.loads(line) for line in (tmp_path / "out" / REJECTS).read_text().splitlines()]
    reasons = {Path(str(each["clip"]).split(" of ")[0]).name: each["reasons"][0].split(":")[0] for each in rejects}
    assert reasons == {
        "b_frozen.mp4": "frozen",
        "c_again.mp4": "duplicate",
        "d_film.mp4": "length",
        "e_broken.mp4": "bad input",
        "f_empty.mp4": "bad input",
    }
    assert any("2 clips have no caption" in line for line in lines)
    assert any("1 kept, 2 rejected" in line for line in lines)


def test_running_it_again_changes_nothing(folder: Path, tmp_path: Path) -> None:
    filtered(folder, tmp_path / "out", longest_s=4.0)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out" / "labels").rglob("*.json")}
    first = (tmp_path / "out" / "selections" / "good.json").read_bytes()
    filtered(folder, tmp_path / "out", longest_s=4.0)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "labels").rglob("*.json")} == before
    assert (tmp_path / "out" / "selections" / "good.json").read_bytes() == first


def test_a_model_that_fails_its_gates_is_refused_before_anything_starts(folder: Path, tmp_path: Path) -> None:
    unfit = tmp_path / "unfit"
    unfit.mkdir()
    (unfit / "config.json").write_text("{}")
    (unfit / "card.json").write_text('{"failed_gates": ["says no to everything"]}')
    with pytest.raises(UnfitModelError, match="says no to everything"):
        filtered(folder, tmp_path / "out", model=str(unfit))
    assert not (tmp_path / "out").exists()


def test_a_data_set_is_judged_where_it_lies(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", length=12, rate_hz=10.0)
    with pytest.raises(ConfigError, match="leave out --output"):
        filtered(dataset.root, tmp_path / "other")
    filtered(dataset.root, dataset.root)
    assert (dataset.root / "selections" / "good.json").exists()


def test_the_report_counts_what_judges_say(folder: Path, tmp_path: Path) -> None:
    filtered(folder, tmp_path / "out", longest_s=4.0)
    found = judged(tmp_path / "out")
    rows = {row.judge: row for row in found.judges}
    assert (rows["frozen"].passed, rows["frozen"].failed) == (2, 1)
    assert "still from" in rows["frozen"].reasons
    assert found.selections[0].kept == 1


def test_captions_are_found_in_every_form(tmp_path: Path) -> None:
    names = ["a.mp4", "3_pick_up_the_cup.mp4", "b.mp4"]
    (tmp_path / "a.txt").write_text("lift the cup\n")
    (tmp_path / "metadata.csv").write_text("file_name,text\nb.mp4,wash it\n")
    found = captions_in(tmp_path, names, names=True)
    assert {name: row["instruction"] for name, row in found.items()} == {
        "a.mp4": "lift the cup",
        "b.mp4": "wash it",
        "3_pick_up_the_cup.mp4": "pick up the cup",
    }


def test_a_caption_that_is_no_utf8_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"lift the caf\xe9")
    with pytest.raises(CorruptFileError, match=r"a\.txt is not text in UTF-8"):
        captions_in(tmp_path, ["a.mp4"])


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="holds no video"):
        filtered(tmp_path / "empty", tmp_path / "out")
