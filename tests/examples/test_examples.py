"""Every example runs, as a person runs it, and leaves what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from storage.datasets.dataset import Dataset
from storage.formats.testing import read_parquet, tiny_lerobot, tiny_video, write_parquet
from storage.testing import assert_sound, tiny_dataset, tiny_images

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(*words: str, **environment: str) -> str:
    command = [sys.executable, *words]
    here = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=here)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recipe(name: str, **environment: str) -> str:
    return run("-m", "workflows", "run", str(EXAMPLES / name), "--engine", "local", **environment)


def test_every_example_is_listed_and_run_by_a_test() -> None:
    listing = (EXAMPLES / "README.md").read_text()
    tests = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    for path in EXAMPLES.iterdir():
        if path.name != "README.md":
            assert path.name in listing, f"{path.name} is not in examples/README.md"
            assert path.name in tests, f"no test runs {path.name}"


def test_a_policy_learns_from_shards(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data")
    said = run(str(EXAMPLES / "train_from_shards.py"), str(tmp_path / "data"), "150")
    found = re.search(r"loss ([0-9.]+) -> ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[2]) < float(found[1])


def test_a_stage_of_ones_own_in_a_recipe(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data")
    recipe("own_stage/recipe.yaml", DATASET=str(tmp_path / "data"), CHOSEN=str(tmp_path / "moving"))
    labelled = Dataset.open(tmp_path / "data", labels=("motion",))
    scores = {episode.episode_id: episode.verdicts[-1]["score"] for episode in labelled.episodes()}
    assert {episode.episode_id for episode in Dataset.open(tmp_path / "moving").episodes()} == {
        name for name, score in scores.items() if score >= 0.01
    }
    assert_sound(tmp_path / "moving")


def test_recordings_with_a_mapping(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "mine", numbers=(0,), sizes=(6, 6))
    path = root / "data/chunk-000/episode_000000.parquet"
    names = {"observation.state": "arm_mm", "action": "command"}
    rows = {names.get(name, name): values for name, values in read_parquet(path).items()}
    write_parquet(rows, path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {names.get(name, name): feature for name, feature in info["features"].items()}
    (root / "meta/info.json").write_text(json.dumps(info))
    recipe("import_with_mapping.yaml", RECORDINGS=str(root), OUTPUT=str(tmp_path / "data"))
    (episode,) = Dataset.open(tmp_path / "data").episodes()
    wanted = np.stack(rows["arm_mm"]) * (0.001, 0.001, 0.001, 0.001, 1, 1)
    assert np.allclose(episode.arrays["state"], wanted, rtol=1e-5)
    assert np.allclose(episode.arrays["action/ground_truth"], np.stack(rows["command"]), rtol=1e-6)
    assert_sound(tmp_path / "data")


def test_a_folder_of_video_gets_latent_actions(tmp_path: Path) -> None:
    for number in range(2):
        images = tiny_images(seed=number, steps=24, height_px=64, width_px=64)
        tiny_video(tmp_path / "clips" / f"clip{number}.mp4", images)
    said = run(str(EXAMPLES / "label_video_folder.py"), str(tmp_path / "clips"), str(tmp_path / "data"))
    assert said.count("with a latent action") == 2
    assert_sound(tmp_path / "data")
