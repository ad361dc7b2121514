"""The report: one page, without a network, that a real browser can show."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groot.card_hash import STARTER, policy_folder, stated_hash
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.commit import Attempt
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import Manifest, StageRecord
from storage.datasets.unit_paths import SHARDS, Sink
from storage.errors import NotADatasetError
from storage.ids import content_id
from storage.testing import tiny_dataset, tiny_episode, write_unit
from workflows.report.build import write_report
from workflows.report.collect import collect
from workflows.report.config import ReportConfig
from workflows.steps.stand_in import JOB_PREFIX, NOTES

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a data set with two layers, two embodiments and an instruction that tries to end the script."""
    root = tmp_path_factory.mktemp("report") / "data"
    tiny_dataset(root, length=12, cameras=("front", "wrist"))
    human = tiny_episode(99, embodiment="human", layer="human", instruction="</script><b>stir</b>", rate_hz=30.0)
    write_unit(root, [human])
    return write_report(root, ReportConfig(gallery=4))


def test_it_asks_for_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    addresses = set(re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", text))
    assert not addresses
    assert not re.findall(r"url\((?!data:|#)", text)


def test_it_counts_what_is_there(page: Path) -> None:
    text = page.read_text()
    assert "human" in text
    assert "simulation" in text
    assert re.search(r"<b>7</b><span class=\"soft\">episodes", text)


def test_text_of_the_data_cannot_become_markup(page: Path) -> None:
    assert "</script><b>stir" not in page.read_text()


def test_an_empty_gallery_is_fine(page: Path, tmp_path: Path) -> None:
    without = write_report(page.parent, ReportConfig(gallery=0, output=str(tmp_path / "bare.html")))
    assert "<video" not in without.read_text()


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADatasetError, match=r"no dataset\.json"):
        write_report(tmp_path)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Three episodes of 10 steps and a sidecar: latents for half of one, actions off by a tenth, nothing for one."""
    dataset = tiny_dataset(tmp_path / "data", units=1, length=10)
    labels = []
    for place, episode in enumerate(dataset.episodes()):
        valid = np.arange(10) < (5, 10, 0)[place]
        truth = episode.arrays["action/ground_truth"]
        arrays = {
            "action/latent": np.where(valid[:, None], 1.0, np.nan).astype(np.float32).repeat(4, axis=1),
            "label/codes": np.where(valid[:, None], 3, -1).astype(np.int32),
            "label/valid/latent": valid,
            "action/predicted": truth + np.float32(0.1) * (truth - truth.mean(axis=0)),
        }
        about = {
            "model": "abcdef",
            "preset": "small",
            "masked": {"valid": 0.5, "cut": 0.5},
            "failed_gates": ["swap 1.2"],
        }
        provenance = {"lapa": about} if place < 2 else {}
        labels.append(replace(episode, arrays=arrays, cameras={}, provenance=provenance))
    write_unit(dataset.root, labels, unit_id=dataset.units()[0], sink="labels/latents")
    return dataset.root


def test_labels_are_summed_up_with_their_model_and_what_is_masked(labelled: Path) -> None:
    (row,) = collect(Dataset.open(labelled)).labels
    assert (row.name, row.models, row.episodes, row.steps, row.valid) == ("latents", "small abcdef", 2, 30, 0.5)
    assert (row.masked, row.warnings) == ("cut 50.0 %", "swap 1.2")
    assert row.agreement.startswith("R² 0.99")


def test_what_a_labeller_passes_over_is_no_reject_and_is_on_the_page(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    for sink, stage, reason in ((SHARDS, "multiply", "no success"), ("labels/recaption", "recaption", "same caption")):
        record = StageRecord(name=stage, version=1, wall_s=0, cpu_s=0, inputs=3, kept=0, dropped={reason: 3})
        with Attempt(Sink(dataset.root, sink), "passed-over") as attempt:
            attempt.publish(
                Manifest(unit_id="passed-over", job="j", config_hash=content_id("j"), sink=sink, stages=(record,))
            )
    contents = collect(Dataset.open(dataset.root))
    assert [(row.stage, row.reason, row.count) for row in contents.rejects] == [("multiply", "no success", 3)]
    assert [(row.stage, row.reason, row.count) for row in contents.passed_over] == [("recaption", "same caption", 3)]
    page = write_report(dataset.root, ReportConfig(gallery=0)).read_text()
    assert page.index("no success") < page.index("Kept without labels or verdicts") < page.index("same caption")


def test_latent_actions_are_drawn(labelled: Path) -> None:
    text = write_report(labelled).read_text()
    assert text.count("latent action [1]") == 3
    assert "fails its gates: swap 1.2" in text


def test_a_page_ends_with_the_roll_outs_of_its_evaluations_and_says_whose_they_are(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "data", units=1).root
    policy = stated_hash(policy_folder(Path(STARTER)), command="")
    folder = root / "evaluations" / "pick"
    about = {"policy": policy, "task": "pick", "placement": "D0"}
    tried = [
        tiny_episode(seed, length=30, provenance={"generation": {**about, "scene": seed, "success": seed > 0}})
        for seed in range(3)
    ]
    Dataset.create(folder, name="pick")
    write_unit(folder, tried)
    figures = {**about, "scenes": 3, "successes": 2, "success": 2 / 3, "interval": [0.21, 0.94]}
    write_whole(folder / "success.json", json_bytes(figures))
    text = write_report(root, ReportConfig(gallery=1)).read_text()
    last = text[text.rindex("<h2") :]
    assert "pick, D0: 2 of 3 scenes, success 0.67 (0.21 to 0.94 with 95 %)" in last
    assert "the starter policy that ships, fitted elsewhere" in last
    assert (last.count("data:image/jpeg"), last.count(">succeeded"), last.count(">failed")) == (3, 2, 1)


def test_what_stands_in_for_a_layer_is_named_on_the_page_and_on_its_cards(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "data", units=1).root
    write_unit(root, [tiny_episode(9, embodiment="gr1", layer="real")], job=f"{JOB_PREFIX}real")
    write_whole(root / NOTES, json_bytes({"real": "one recording made in simulation"}))
    text = write_report(root).read_text()
    assert "one recording made in simulation" in text
    assert text.count("(stand-in)") == 1


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_a_browser_can_play_every_clip_and_search(page: Path, tmp_path: Path) -> None:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path}"]
    command = [str(CHROMIUM), *flags, "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    body = re.search(r"<body[^>]*data-clips=\"(\d+)\"[^>]*data-playable=\"(\d+)\"", shown)
    assert body is not None
    assert body[1] == body[2] != "0"
    assert "7 of 7 episodes" in shown
