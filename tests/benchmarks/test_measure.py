import json
import math
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import measure


def test_a_bar_holds_on_its_side_only() -> None:
    assert measure.holds(0.2, {"at_most": 0.2})
    assert not measure.holds(0.21, {"at_most": 0.2})
    assert measure.holds(1.7, {"at_least": 1.7})
    assert not measure.holds(1.6, {"at_least": 1.7})
    assert not measure.holds(math.nan, {"at_most": 1})


def test_a_bar_that_says_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="at_most"):
        measure.holds(1, {"below": 2})


def test_a_result_holds_when_all_of_its_bars_do() -> None:
    figures = {"one": 1.0, "two": 2.0, "untested": 9.0}
    assert measure.result(figures, {"one": {"at_most": 1}, "two": {"at_least": 2}})["holds"]
    assert not measure.result(figures, {"one": {"at_most": 1}, "two": {"at_least": 3}})["holds"]


def test_contestants_take_turns() -> None:
    turns: list[str] = []
    measure.interleaved({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2)
    assert turns == ["a", "b"] * 3


def test_benchmarks_are_listed_one_a_line_and_are_modules_with_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--list"]) == 0
    listed = capsys.readouterr().out.split()
    assert {"storage_open", "storage_read", "storage_write"} <= set(listed)
    assert not {"measure", "storage_scene"} & set(listed)
    files = {name: Path(*module.split(".")).with_suffix(".py") for name, module in program.modules().items()}
    assert listed == sorted(files)
    assert all((Path(program.__file__).parents[1] / file).is_file() for file in files.values())


def test_an_unknown_benchmark_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["storage_raed"])
    assert ended.value.code == 2
    assert "known: storage_read" in capsys.readouterr().err


def test_the_last_line_is_one_json_object(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = measure.result({"x": 1.0}, {"x": {"at_most": 2.0}})
    monkeypatch.setattr("benchmarks.storage.write.run", lambda quick: outcome)
    assert program.main(["storage_write", "--quick"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last.keys() == {"name", "figures", "bars", "holds", "machine", "commit"}
    assert last["holds"] is True
