import io
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from pipelines.job import Policy
from pipelines.progress.display import Lines, Pace, ProgressDisplay
from pipelines.progress.in_flight import InFlight, in_flight
from pipelines.progress.job_counts import Tally
from pipelines.progress.line import Moment, duration, progress_line
from pipelines.run_job import EngineOptions, run_job, status
from pipelines.testing.tiny_jobs import tiny_job
from pipelines.unit.crash_recorder import recording
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


def test_a_line_says_what_is_kept_how_fast_how_long_still_and_what_was_dropped() -> None:
    assert progress_line(Moment(tally=HALF), kept_per_s=0.1, left_s=180) == (
        "stack: 96 of 200 kept, 20/40 units, 6.0 kept/min, 3 min left;"
        " dropped 12 (8 fell, 3 not lifted, 1 slipped); gave up 2 units"
    )


def test_without_a_rate_nothing_is_promised() -> None:
    assert progress_line(Moment(tally=Tally(job="a", planned_units=3))) == "a: 0 kept, 0/3 units"


def test_what_is_in_flight_counts_item_by_item() -> None:
    flying = InFlight(units=0.75, kept=6)
    assert Moment(tally=HALF, flying=flying).share == pytest.approx(102 / 200)
    assert Moment(tally=Tally(job="a", planned_units=3, committed_units=1), flying=flying).share == pytest.approx(
        1.75 / 3
    )


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (360, "6 min"), (12_000, "3 h 20 min"), (90, "2 min")])
def test_durations_are_said_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_there_is_a_time_left_from_the_first_item_on() -> None:
    tally = Tally(job="a", planned_units=2)
    pace = Pace(Moment(tally=tally))
    assert pace.of(Moment(tally=tally)) == (0.0, None)
    kept_per_s, left_s = pace.of(Moment(tally=tally, flying=InFlight(units=0.125, kept=1)))
    assert kept_per_s > 0
    assert left_s is not None


def test_a_log_gets_a_line_only_when_something_changed() -> None:
    stream, tally = io.StringIO(), Tally(job="a", planned_units=2)
    lines = Lines(stream, every_s=0.0)
    for kept in (0, 0, 1, 1, 1, 2):
        lines.show(Moment(tally=tally, flying=InFlight(units=kept / 8, kept=kept)))
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == ["a: 1 kept", "a: 2 kept"]


def test_a_log_gets_no_more_lines_than_it_may() -> None:
    stream, tally = io.StringIO(), Tally(job="a", planned_units=2)
    lines = Lines(stream, every_s=1000.0)
    for kept in range(1, 9):
        lines.show(Moment(tally=tally, flying=InFlight(units=kept / 8, kept=kept)))
    assert stream.getvalue().count("\n") == 1


def test_on_a_terminal_a_bar_is_drawn_with_the_same_numbers() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    display = ProgressDisplay(stream)
    display.begin(HALF)
    display.end(HALF)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "stack" in plain
    assert "96 of 200 kept" in plain
    assert "━" in plain


def test_a_run_is_seen_item_by_item_while_its_only_unit_runs(tmp_path: Path) -> None:
    stream = io.StringIO()
    display = ProgressDisplay(stream, every_s=0.0, look_s=0.01)
    job = tiny_job(("tiny_source", {"work_s": 0.1}), units=1, items_per_unit=5)
    run_job(tmp_path / "data", job, EngineOptions(progress=display))
    kept = [int(number) for number in re.findall(r"tiny: (\d) kept, 0/1 units", stream.getvalue())]
    assert kept == sorted(kept)
    assert set(kept) & {1, 2, 3, 4}, stream.getvalue()


def test_only_units_that_are_worked_on_now_are_in_flight(tmp_path: Path) -> None:
    began_s = time.time() - 1
    with recording(tmp_path, "u", timeout_s=60) as recorder:
        recorder.at("first", 0.25)
        recorder.at("second", 0.5, kept=4)
        assert in_flight(tmp_path, since_s=began_s) == InFlight(units=0.5, kept=4)
        assert in_flight(tmp_path, since_s=began_s, among={"v"}) == InFlight()
        assert in_flight(tmp_path, since_s=time.time() + 60) == InFlight()
    assert in_flight(tmp_path, since_s=began_s) == InFlight()


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
