"""The step `judge` as a job."""

from pathlib import Path

import pytest

from storage.datasets.dataset import Dataset
from storage.testing import tiny_episode, write_unit
from workflows.recipes.run_context import RunContext
from workflows.steps.judge import JudgeStep, judge_job


def test_parents_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("clips", "frames"):
        Dataset.create(tmp_path / name, name=name)
        write_unit(tmp_path / name, [tiny_episode(0)])
    monkeypatch.chdir(tmp_path)
    step = JudgeStep(kind="execution", settings={"parents": ["frames"]})
    (_, (stage, settings)) = judge_job(RunContext(root=tmp_path / "clips"), step).stages
    assert stage == "judge_execution"
    assert settings["parents"] == [str(tmp_path / "frames")]
