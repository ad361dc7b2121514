"""What `pyramid generate` is told reaches the recorded data, or ends the job."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import WorkFailedError
from workflows.cli import app

HOPELESS = """
from dataclasses import replace
from generators.simulation.demonstrations.recordings import source_path
from generators.simulation.tasks.lift import LIFT

TASKS = (replace(LIFT, name="hopeless", horizon=3, sources=source_path(LIFT)),)
"""


def generate(*words: str) -> None:
    command = ["generate", *words, "--size-px", "0", "--sources", "2", "--engine", "local"]
    CliRunner().invoke(app, command, catch_exceptions=False)


def first_episode(folder: Path, *words: str) -> Episode:
    generate("lift", "--keep", "1", "--output", str(folder), *words)
    return next(iter(Dataset.open(folder).episodes()))


def test_noise_is_in_the_recorded_actions_and_states_and_said_in_the_provenance(tmp_path: Path) -> None:
    plain, none, much = (
        first_episode(tmp_path / str(number), *words)
        for number, words in enumerate(([], ["--noise", "0"], ["--noise", "3"]))
    )
    for other, scale in ((none, 0.0), (much, 3.0)):
        assert other.provenance["generation"]["execution"]["noise_scale"] == scale
        steps = min(plain.length, other.length)
        np.testing.assert_array_equal(plain.arrays["simulation/state"][0], other.arrays["simulation/state"][0])
        for name in ("action/ground_truth", "simulation/state"):
            assert np.abs(plain.arrays[name][1:steps] - other.arrays[name][1:steps]).max() > 1e-3
    sizes = [one.provenance["generation"]["subtasks"][0]["noise"] for one in (none, plain, much)]
    np.testing.assert_allclose(sizes, np.outer([0, 1, 3], sizes[1]))
    assert roughness(none) < roughness(plain) < roughness(much)


def roughness(episode: Episode) -> float:
    """How much the commanded motion changes from step to step."""
    return float(np.abs(np.diff(episode.arrays["action/ground_truth"][:, :6], axis=0)).mean())


def test_a_job_gives_up_at_the_rate_that_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "hopeless.py").write_text(HOPELESS)
    task = str(tmp_path / "hopeless.py")
    with pytest.raises(WorkFailedError, match=r"0 of 4 attempts.*less than the 50 %.*4 x out of time"):
        generate(task, "--keep", "2", "--output", str(tmp_path / "half"), "--least-rate", "0.5")
    with pytest.raises(WorkFailedError, match=r"0 of 16 attempts.*less than the 20 %"):
        generate(task, "--keep", "2", "--output", str(tmp_path / "fifth"), "--least-rate", "0.2")
