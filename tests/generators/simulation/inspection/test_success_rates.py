import json

import pytest

from generators.simulation.inspection import success_rates
from generators.simulation.inspection.listing import list_tasks


@pytest.fixture
def rates_file(tmp_path, monkeypatch):
    monkeypatch.setattr(success_rates, "RATES_FILE", tmp_path / "success_rates.json")
    return tmp_path / "success_rates.json"


def test_a_rate_comes_with_the_interval_of_its_attempts():
    record = success_rates.rate_record(81, 263, commit="abc")
    assert record == {
        "attempts": 263, "successes": 81, "rate": 0.308, "low": 0.2553, "high": 0.3662, "commit": "abc",
    }  # fmt: skip


def test_nothing_is_known_before_anything_is_measured(rates_file):
    assert success_rates.measured_rates() == {}


def test_a_fresh_rate_takes_the_place_of_the_older_one_of_its_placement_only(rates_file):
    old, new = (success_rates.rate_record(count, 10, commit="c") for count in (3, 7))
    success_rates.keep_rates({"stack": {"D0": old, "D1": old}, "lift": {"D0": old}})
    success_rates.keep_rates({"stack": {"D0": new}})
    kept = json.loads(rates_file.read_text())
    assert kept["stack"]["D0"]["rate"] == 0.7
    assert kept["stack"]["D1"] == kept["lift"]["D0"] == old


def test_the_list_of_tasks_shows_the_rate_on_d0(rates_file):
    success_rates.keep_rates({"stack": {"D0": success_rates.rate_record(7, 10, commit="c")}})
    rows = {row["name"]: row["success_rate"] for row in list_tasks()}
    assert rows["stack"] == 0.7
    assert rows["lift"] is None


def test_what_ships_was_measured_of_tasks_that_exist():
    known = {row["name"] for row in list_tasks()}
    for name, placements in success_rates.measured_rates().items():
        assert name in known
        for record in placements.values():
            assert record["low"] <= record["rate"] <= record["high"]
            assert record["successes"] + sum(record["failures"].values()) == record["attempts"]
