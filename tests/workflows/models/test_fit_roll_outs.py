"""Roll-outs after a fit: which tasks, which clips, and what the page of the fit says of them."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from groot.fit import FitResult
from groot.training.policy_config import GrootFitConfig
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, UnknownNameError
from storage.testing import tiny_dataset, tiny_episode, write_unit
from workflows.models import training
from workflows.models.fit_roll_outs import TriedTask, shown_episodes, tasks_of
from workflows.models.roll_outs import RollOutPlan
from workflows.models.training import fit_groot
from workflows.models.training_report import write_training_page


def generated(root: Path, about: list[Mapping[str, Any]]) -> Path:
    Dataset.create(root, name=root.name)
    write_unit(root, [tiny_episode(seed, provenance={"generation": dict(each)}) for seed, each in enumerate(about)])
    return root


def rolled_out(root: Path, outcomes: list[bool]) -> TriedTask:
    about = [
        {"task": "lift", "placement": "D1", "policy": "p", "scene": scene, "success": good, "rolled_out": True}
        for scene, good in enumerate(outcomes)
    ]
    figures = {
        "task": "lift",
        "placement": "D1",
        "policy": "p",
        "scenes": len(outcomes),
        "successes": sum(outcomes),
        "success": sum(outcomes) / len(outcomes),
        "interval": [0.1, 0.9],
    }
    return TriedTask(figures=figures, folder=generated(root, about))


def test_the_tasks_are_those_that_the_data_were_generated_in(tmp_path: Path) -> None:
    lift, nowhere = {"task": "lift", "placement": "D1"}, {"task": "no such task", "placement": "D0"}
    data = generated(tmp_path / "d", [nowhere, nowhere, lift])
    assert tasks_of([data]) == ([("lift", "D1")], "")
    assert tasks_of([generated(tmp_path / "e", [nowhere])]) == ([], "no task is called no such task")


def test_roll_outs_are_no_demonstrations_of_a_task(tmp_path: Path) -> None:
    tried = rolled_out(tmp_path / "d", [True])
    assert tasks_of([tried.folder])[0] == []


def test_an_unknown_task_is_refused_before_a_policy_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "served", lambda *_, **__: pytest.fail("a server was started"))
    with pytest.raises(UnknownNameError, match="did you mean pick_green"):
        training.evaluate_groot(Path("starter"), tmp_path / "e", plan=RollOutPlan(task="pick_gren"))


def test_roll_outs_that_cannot_be_are_refused_before_training(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "d").root
    with pytest.raises(ConfigError, match="not generated in a task"):
        fit_groot([data], tmp_path / "m", preset="tiny", recipe=None, steps=1, roll_outs=3)
    assert not (tmp_path / "m").exists()


def test_failures_are_shown_beside_successes(tmp_path: Path) -> None:
    tried = rolled_out(tmp_path / "d", [True, True, True, True, True, False])
    assert [each.provenance["generation"]["success"] for each in shown_episodes(tried)] == [True, True, True, False]


def test_the_page_of_the_fit_plays_the_roll_outs_and_gives_the_rate_with_its_interval(tmp_path: Path) -> None:
    result = FitResult(steps=1, stopped="", figures={}, findings=(), history=({"step": 1.0, "loss": 0.5},), wall_s=1.0)
    fitted: Any = SimpleNamespace(policy=SimpleNamespace(card=None), result=result, left_out=[])
    page = write_training_page(
        tmp_path, fitted, GrootFitConfig.of_preset("tiny"), [rolled_out(tmp_path / "roll-outs", [True, False])]
    ).read_text()
    assert "lift, D1: 1 of 2 scenes, success 0.50 (0.10 to 0.90 with 95 %)" in page
    assert page.count('<video src="data:video/mp4;base64,') == 2
    assert "scene 1: failed" in page
