import io
import threading
from collections import Counter
from pathlib import Path

import pytest

from pipelines.job import Policy
from pipelines.job_counts import Tally
from pipelines.progress import ProgressLines, duration, progress_line
from pipelines.run_job import run_job, status
from pipelines.testing.tiny_jobs import tiny_job
from storage.datasets.unit_paths import Sink

HALF = Tally(
    job="stack",
    planned_units=40,
    committed_units=18,
    dead_units=2,
    kept=96,
    target=200,
    dropped=Counter({"fell": 8, "not lifted": 3, "slipped": 1}),
)


def test_a_line_says_what_is_done_how_fast_how_long_still_and_what_was_dropped() -> None:
    assert progress_line(HALF, rate_per_s=0.1) == (
        "stack: 20/40 units, kept 96 of 200 wanted, 6.0 units/min, 3 min left;"
        " dropped 12 (8 fell, 3 not lifted, 1 slipped); gave up 2 units"
    )


def test_without_a_rate_nothing_is_promised() -> None:
    assert progress_line(Tally(job="a", planned_units=3), rate_per_s=0) == "a: 0/3 units, kept 0"


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (360, "6 min"), (12_000, "3 h 20 min"), (90, "2 min")])
def test_durations_are_said_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_off_a_terminal_each_line_is_a_line_of_its_own() -> None:
    class Listening(io.StringIO):
        heard = threading.Event()

        def write(self, text: str) -> int:
            if text.count("\n") and "20/40" in self.getvalue():
                self.heard.set()
            return super().write(text)

    stream = Listening()
    lines = ProgressLines(stream, every_s=0.01)
    lines.begin(HALF)
    assert stream.heard.wait(10), "no line came by itself"
    lines.end(HALF)
    assert all(line.startswith("stack: 20/40 units") for line in stream.getvalue().splitlines())
    assert "\r" not in stream.getvalue()


def test_on_a_terminal_the_line_is_redrawn_in_place() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    lines = ProgressLines(stream)
    lines.begin(HALF)
    lines.end(HALF)
    assert stream.getvalue().startswith("\rstack: 20/40")
    assert stream.getvalue().count("\n") == 1


def test_status_reads_the_same_from_the_folder_as_the_run_said(tmp_path: Path) -> None:
    policy = Policy(max_failed_fraction=0.5)
    stages = (("tiny_judge", {"threshold": 0.5}), ("wild", {"fault": "value", "seeds": [4]}))
    result = run_job(tmp_path / "data", tiny_job(*stages, policy=policy, units=5))
    (state,) = status(tmp_path / "data")
    assert state.tally == result.tally
    assert state.dead_letters == result.dead_letters
    assert state.to_json()["planned_units"] == 5


def test_status_of_a_run_that_goes_on_knows_its_rate(tmp_path: Path) -> None:
    run_job(tmp_path / "data", tiny_job(units=5))
    sink = Sink(tmp_path / "data")
    for unit_id in sorted(sink.committed())[:2]:
        sink.manifest(unit_id).unlink()
    (state,) = status(tmp_path / "data")
    assert (state.tally.committed_units, state.tally.open_units) == (3, 2)
    assert state.rate_per_s > 0
    assert state.left_s is not None
    assert "3/5 units" in state.line
