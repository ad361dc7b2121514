"""A model is fitted once to the same inputs, anew to others, and one that was changed by hand is refused."""

from pathlib import Path

import pytest

from storage.errors import AlreadyWrittenError, UnknownNameError
from storage.testing import tiny_dataset
from workflows.recipes.artifacts import artifact, is_current
from workflows.recipes.run_context import RunContext
from workflows.steps import fit
from workflows.steps.fit import FitStep, episodes_hash, run_fit, select_jobs


class Fitter:
    """Counts how often it is asked, and writes what it was asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> str:
        self.calls += 1
        (folder / "weights").write_text(str(self.calls))
        (folder / "training").mkdir(exist_ok=True)
        (folder / "training/step").write_text(str(self.calls))
        return f"fitted {self.calls}"


def test_equal_inputs_are_fitted_once(tmp_path: Path) -> None:
    make = Fitter()
    first = artifact(tmp_path, "idm", {"steps": 3}, make)
    again = artifact(tmp_path, "idm", {"steps": 3}, make)
    assert (first.fresh, again.fresh, make.calls) == (True, False, 1)
    assert first.content == again.content
    assert is_current(tmp_path, "idm", {"steps": 3})


def test_other_inputs_are_fitted_anew_and_the_old_model_is_kept_aside(tmp_path: Path) -> None:
    make = Fitter()
    artifact(tmp_path, "idm", {"steps": 3}, make)
    assert artifact(tmp_path, "idm", {"steps": 4}, make).fresh
    assert {path.read_text() for path in (tmp_path / "models").glob("*/weights")} == {"1", "2"}


def test_a_fit_that_was_stopped_finds_its_progress_again(tmp_path: Path) -> None:
    def stopped(folder: Path) -> str:
        (folder / "training").mkdir()
        (folder / "training/step").write_text("7")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifact(tmp_path, "idm", 1, stopped)
    seen: list[str] = []
    artifact(tmp_path, "idm", 1, lambda folder: str(seen.append((folder / "training/step").read_text())))
    assert seen == ["7"]


def test_a_model_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    artifact(tmp_path, "idm", 1, Fitter())
    (tmp_path / "models/idm/training/step").write_text("progress may change")
    artifact(tmp_path, "idm", 1, Fitter())
    (tmp_path / "models/idm/weights").write_text("edited")
    with pytest.raises(AlreadyWrittenError, match="changed since it was fitted"):
        artifact(tmp_path, "idm", 1, Fitter())


def test_a_step_fits_to_the_episodes_of_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=2, episodes_per_unit=2)
    asked: list[str] = []

    def fitter(paths: list[Path], folder: Path, *, selection: str, **_: object) -> str:
        asked.append(selection)
        (folder / "weights").write_text("w")
        return "fitted"

    monkeypatch.setattr(fit, "FITTERS", {"idm": fitter})
    step, context = FitStep(kind="idm", of=("tiny",)), RunContext(root=dataset.root)
    assert run_fit(context, step) == "fitted"
    assert "already" in run_fit(context, step)
    assert asked == ["for-idm"]
    assert episodes_hash(dataset.root, "for-idm") != episodes_hash(dataset.root, "")


def test_a_job_that_is_not_there_is_named(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    with pytest.raises(UnknownNameError, match="tiny"):
        select_jobs(dataset.root, "x", ("tyni",))
