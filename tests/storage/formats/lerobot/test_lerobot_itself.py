"""LeRobot v3.0 as LeRobot itself writes and reads it. `PYRAMID_LEROBOT` names a Python that has lerobot 0.4 or 0.5."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.testing import tiny_episode
from tests.storage.formats.lerobot.with_lerobot import content

pytestmark = pytest.mark.slow


def _lerobot(*arguments: Any) -> None:
    python = os.environ.get("PYRAMID_LEROBOT")
    if not python:
        pytest.skip("no lerobot: PYRAMID_LEROBOT names a Python that has lerobot 0.4 or 0.5")
    script = Path(__file__).with_name("with_lerobot.py")
    ran = subprocess.run([python, str(script), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]


def _decibels(one: Any, other: Any) -> float:
    return float(10 * np.log10(255**2 / np.square(np.asarray(one, float) - other).mean()))


def test_what_lerobot_writes_is_read_to_the_bit(tmp_path: Path) -> None:
    _lerobot("write", tmp_path / "set")
    episodes = list(read_episodes(ImportConfig(path=str(tmp_path / "set"), codec="high")))
    for number, (episode, length) in enumerate(zip(episodes, (8, 6, 7), strict=True)):
        state, action, images = content(number, length)
        assert episode.arrays["state"].tobytes() == state.tobytes()
        assert episode.arrays["action/ground_truth"].tobytes() == action.tobytes()
        assert episode.arrays["timestamp"].tolist() == [step / 20 for step in range(length)]
        assert episode.instruction == f"task {number % 2}"
        assert _decibels(episode.cameras["front"].decode(), images) > 30


def test_lerobot_reads_what_is_exported_to_the_bit(tmp_path: Path) -> None:
    spoken = [[[0, "reach"], [3, "grasp"]], [[0, "grasp"]]]
    episodes = [
        replace(
            tiny_episode(seed, length=6 + seed, size_px=(96, 128), instruction=f"task {seed}"),
            provenance={"imported": {"annotations": {"subtask_index": runs}}},
        )
        for seed, runs in enumerate(spoken)
    ]
    export_lerobot(episodes, tmp_path / "set", LeRobotExport(version="v3.0"))
    _lerobot("read", tmp_path / "set", tmp_path / "read.npz")
    came, at = np.load(tmp_path / "read.npz"), 0
    for episode in episodes:
        rows, at = slice(at, at + episode.length), at + episode.length
        action, steps = episode.arrays["action/ground_truth"], np.arange(episode.length)
        assert (came["observation.state"][rows] == episode.arrays["state"]).all()
        windows = action[np.minimum(steps[:, None] + np.arange(3), episode.length - 1)]
        assert (came["action"][rows] == windows).all()
        assert (came["timestamp"][rows] == (steps / 20).astype(np.float32)).all()
        assert set(came["tasks"][rows]) == {episode.instruction}
        frames = np.round(came["observation.images.front"][rows][:, 1].transpose(0, 2, 3, 1) * 255)
        assert _decibels(frames, episode.cameras["front"].decode()) > 30
    assert came["subtasks"][:6].tolist() == ["reach"] * 3 + ["grasp"] * 3
