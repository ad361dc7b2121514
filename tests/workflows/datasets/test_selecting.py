"""`pyramid data select` and the commands that take `--selection`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from storage.errors import ConfigError
from storage.testing import tiny_episode, write_unit
from storage.verdicts.verdicts import Verdict
from workflows.cli import app
from workflows.datasets.selecting import share_of, thresholds_of

runner = CliRunner()


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    from storage.datasets.dataset import Dataset

    root = tmp_path / "data"
    Dataset.create(root, name="judged")
    verdicts = [Verdict(judge="sharp", passed=score > 0.5, score=score, threshold=0.5) for score in (0.2, 0.6, 0.9)]
    write_unit(root, [tiny_episode(seed, verdicts=(each.to_json(),)) for seed, each in enumerate(verdicts)])
    return root


def test_a_selection_is_made_and_read_from_the_command_line(judged: Path) -> None:
    made = runner.invoke(app, ["data", "select", str(judged), "--threshold", "sharp=0.7", "--json"])
    assert json.loads(made.stdout) == {
        "name": "good",
        "kept": 1,
        "rejected": 2,
        "unjudged": 0,
        "rejected_by": {"sharp": 2},
    }
    shown = runner.invoke(app, ["data", "info", str(judged), "--selection", "good", "--json"])
    assert json.loads(shown.stdout)["episodes"] == 1


def test_an_export_takes_what_is_selected(judged: Path, tmp_path: Path) -> None:
    runner.invoke(app, ["data", "select", str(judged)])
    out = tmp_path / "exported"
    told = runner.invoke(app, ["data", "export", str(judged), "--selection", "good", "--output", str(out)])
    assert "exported 2 episodes" in told.stdout


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("0.25", 0.25)])
def test_a_share_is_read(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="JUDGE=NUMBER"):
        thresholds_of(["sharp=high"])
