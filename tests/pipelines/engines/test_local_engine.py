"""The local engine has one process: what a unit may do to it, and what is left of that."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipelines.job import Policy
from pipelines.run_job import resume, run_job
from pipelines.testing.chaos_job import Chaos
from pipelines.testing.tiny_jobs import check_run, tiny_job
from pipelines.unit.crash_recorder import read_recording
from storage.datasets.plan import read_plans
from storage.datasets.unit_paths import STAGING

Drive = Callable[[Path, Chaos], "subprocess.Popen[str]"]


def test_a_unit_that_takes_too_long_is_interrupted_and_given_up_alone(tmp_path: Path) -> None:
    policy = Policy(attempts=1, max_failed_fraction=0.5, unit_timeout_s=4.0)
    job = tiny_job(("wild", {"fault": "hang", "seeds": [4]}), units=4, policy=policy)
    result = run_job(tmp_path / "data", job)
    check_run(tmp_path / "data")
    (letter,) = result.dead_letters
    assert (letter.stage, letter.error) == ("wild", "UnitTookTooLong")
    assert "unit_timeout_s, 4 s" in letter.message
    assert "faulty_stage.py" in letter.traceback
    assert result.tally.committed_units == 3


def test_an_alarm_of_an_earlier_unit_rings_for_nobody(tmp_path: Path) -> None:
    assert run_job(tmp_path / "data", tiny_job(units=2, policy=Policy(unit_timeout_s=60.0))).complete
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_unit_that_crashes_every_run_becomes_a_dead_letter_that_names_signal_and_stage(
    tmp_path: Path, drive: Drive
) -> None:
    policy = Policy(attempts=2, max_failed_fraction=0.5)
    chaos = Chaos(wild={"fault": "segfault", "seeds": [3]}, policy=policy)
    for number in range(2):
        assert drive(tmp_path / "data", chaos).wait(timeout=120) == -signal.SIGSEGV
        (unit_id,) = {path.name.split(".")[0] for path in (tmp_path / "data" / STAGING).glob("*.recording")}
        found = read_recording(tmp_path / "data", unit_id)
        assert (found.stage, found.crashes) == ("wild", number + 1)
    driver = drive(tmp_path / "data", chaos)
    said, errors = driver.communicate(timeout=120)
    assert driver.returncode == 0, said + errors
    (letter,) = json.loads(said)[0]["dead_letters"]
    assert "Segmentation fault (SIGSEGV) in stage 'wild'" in letter["message"]
    check_run(tmp_path / "data")


def test_a_process_that_was_killed_from_outside_is_not_held_against_the_unit(tmp_path: Path, drive: Drive) -> None:
    chaos = Chaos(wild={"fault": "kill", "seeds": [3], "times": 3, "marks": str(tmp_path)}, policy=Policy(attempts=2))
    for _ in range(3):
        assert drive(tmp_path / "data", chaos).wait(timeout=120) == -signal.SIGKILL
    results = resume(tmp_path / "data")
    assert all(result.complete for result in results)
    assert {unit.unit_id for unit in read_plans(tmp_path / "data")}
