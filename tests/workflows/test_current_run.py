"""What a command knows about the run that it started: units that were given up are no success."""

import io
from pathlib import Path

import pytest

from pipelines.job import Job, Policy, Until
from pipelines.progress.display import ProgressDisplay
from pipelines.run_job import EngineOptions, run_job
from pipelines.testing.tiny_jobs import load_test_stages, tiny_job
from storage.errors import WorkFailedError
from workflows.current_run import NotedProgress, current_root, refuse_given_up

HALF_MAY_FAIL = Policy(attempts=1, max_failed_fraction=0.5)
FAULT = {"fault": "value", "seeds": [4]}


@pytest.fixture
def options() -> EngineOptions:
    load_test_stages()
    return EngineOptions(progress=NotedProgress(ProgressDisplay(io.StringIO())))


def test_a_unit_that_was_given_up_is_no_success_and_is_told_once(tmp_path: Path, options: EngineOptions) -> None:
    run_job(tmp_path / "data", tiny_job(("wild", FAULT), policy=HALF_MAY_FAIL), options)
    assert current_root() == tmp_path / "data"
    with pytest.raises(WorkFailedError, match=r"1 units of tiny failed for good.*`pyramid resume"):
        refuse_given_up()
    refuse_given_up()


def test_a_job_that_has_all_it_wanted_is_a_success_whatever_failed_on_the_way(
    tmp_path: Path, options: EngineOptions
) -> None:
    stages = (("tiny_source", {}), ("wild", {**FAULT, "seeds": [0]}))
    until = Until(kept=4, items_per_unit=2)
    source = Job(name="top", stages=stages, until=until, policy=HALF_MAY_FAIL)
    result = run_job(tmp_path / "data", source, options)
    assert result.tally.kept >= 4
    refuse_given_up()
