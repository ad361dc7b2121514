from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.catalog import CATALOG
from pipelines.job import Job, UnitItems
from pipelines.planning.plan import describe, grouped, planned, units_of
from pipelines.testing.tiny_jobs import tiny_job
from storage.errors import ConfigError, UnknownNameError


@given(st.integers(0, 50), st.integers(1, 9))
def test_grouping_keeps_every_item_in_order(items: int, items_per_unit: int) -> None:
    groups = grouped([{"seed": number} for number in range(items)], items_per_unit=items_per_unit)
    assert [item["seed"] for group in groups for item in group.items] == list(range(items))
    assert all(len(group.items) == items_per_unit for group in groups[:-1])


def test_equal_work_has_equal_ids_whatever_the_job_is_called() -> None:
    one, other = tiny_job(name="one"), tiny_job(name="other")
    assert _ids(one) == _ids(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"stages": (("tiny_source", {"length": 9}),)},
        {"stages": (("tiny_source", {}), ("tiny_judge", {}))},
        {"units": (UnitItems(items=({"seed": 0}, {"seed": 1}, {"seed": 2}), inputs={"file": "abc"}),)},
    ],
)
def test_other_seed_settings_stages_or_content_is_other_work(changed: dict[str, object]) -> None:
    assert not set(_ids(tiny_job())) & set(_ids(replace(tiny_job(), **changed)))


def test_a_setting_without_identity_changes_no_id() -> None:
    assert _ids(tiny_job()) == _ids(tiny_job(("tiny_source", {"work_s": 0.5})))


def test_another_version_of_a_stage_is_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(Job(name="read", stages=(("read_unit", {}),), units=(UnitItems(items=({"unit": "u"},)),)))
    monkeypatch.setitem(CATALOG, "read_unit", replace(CATALOG["read_unit"], version=2))
    after = planned(Job(name="read", stages=(("read_unit", {}),), units=(UnitItems(items=({"unit": "u"},)),)))
    assert before.config_hash != after.config_hash


def test_an_item_that_is_planned_twice_is_refused() -> None:
    job = tiny_job()
    with pytest.raises(ConfigError, match="two units are the same work"):
        units_of(planned(job), (*job.units, job.units[0]))


def test_a_stage_that_reads_what_nobody_writes_is_refused_with_the_ones_that_could() -> None:
    job = replace(tiny_job(("tiny_label", {})), provides=frozenset({"state"}))
    with pytest.raises(ConfigError) as caught:
        planned(job)
    text = str(caught.value)
    assert "stage 'tiny_label' reads 'action/ground_truth', and nobody before it writes that" in text
    assert "read_unit" in text
    assert "tiny_source" in text


def test_a_stage_may_read_what_a_stage_before_it_writes() -> None:
    assert [stage.name for stage in planned(tiny_job(("tiny_label", {}), ("wild", {}))).stages][-1] == "wild"


def test_a_job_without_a_source_in_front_is_refused() -> None:
    with pytest.raises(ConfigError, match="the first stage, and no other, is a source"):
        planned(replace(tiny_job(), stages=(("tiny_judge", {}),)))
    with pytest.raises(ConfigError, match="the first stage, and no other, is a source"):
        planned(tiny_job(("tiny_source", {}), ("tiny_source", {})))


def test_a_stage_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown stage 'tiny_sorce'; did you mean tiny_source"):
        planned(replace(tiny_job(), stages=(("tiny_sorce", {}),)))


def test_a_wrong_setting_names_job_and_stage() -> None:
    with pytest.raises(ConfigError, match="job 'tiny', stage 'tiny_judge': unknown key of TinyJudgeConfig 'treshold'"):
        planned(tiny_job(("tiny_judge", {"treshold": 0.1})))


def test_a_stage_may_come_twice_and_draws_other_numbers_then() -> None:
    names = [stage.name for stage in planned(tiny_job(("tiny_judge", {}), ("tiny_judge", {}))).stages]
    assert names == ["tiny_source", "tiny_judge", "tiny_judge#2"]


def test_units_of_labels_and_no_others_carry_an_id() -> None:
    job = tiny_job()
    with pytest.raises(ConfigError, match="carry the id of the unit they label"):
        units_of(planned(replace(job, sink="labels/tiny")), job.units)
    with pytest.raises(ConfigError, match="carry the id of the unit they label"):
        units_of(planned(job), [UnitItems(items=({"seed": 1},), unit_id="abc")])


def test_a_described_plan_shows_stages_settings_and_sizes() -> None:
    settled = planned(tiny_job(("tiny_judge", {"threshold": 0.25})))
    text = describe(settled, units_of(settled, tiny_job().units), done=1)
    for part in (
        "job tiny -> shards",
        "4 units, 12 items, 1 committed",
        "2. tiny_judge v1",
        "threshold = 0.25",
    ):
        assert part in text


def _ids(job: Job) -> list[str]:
    return [unit.unit_id for unit in units_of(planned(job), job.units)]
