import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.job import Job, Until
from pipelines.planning.plan import planned
from pipelines.planning.plan_rounds import Counts, most_items, next_round, numbered_items, wanted_items
from pipelines.progress.job_counts import Tally
from storage.errors import ConfigError


@given(target=st.integers(1, 500), share=st.floats(0.05, 1.0))
def test_topping_up_comes_to_an_end_with_enough_at_any_yield(target: int, share: float) -> None:
    until = Until(kept=target, most_items=100_000)
    tally = Tally(job="top")
    rounds = 0
    while tally.kept < target:
        tally.planned_items += wanted_items(until, tally, rounds)
        tally.kept = int(tally.planned_items * share)
        rounds += 1
    assert rounds <= 12
    assert tally.planned_items <= 2 * target / share + 20


def test_the_first_round_plans_what_is_asked_for() -> None:
    assert wanted_items(Until(kept=40), Tally(job="top"), 0) == 40
    assert wanted_items(Until(kept=40, first_items=60), Tally(job="top"), 0) == 60


def test_no_round_goes_beyond_the_most() -> None:
    until = Until(kept=40, most_items=100)
    assert wanted_items(until, Tally(job="top", planned_items=90, kept=1), 2) == 10
    assert most_items(Until(kept=40)) == 800


def test_a_round_follows_from_the_counts_alone() -> None:
    job = planned(Job(name="top", stages=(("tiny_source", {}),), until=Until(kept=10, items_per_unit=4)))
    tally = Tally(job="top", planned_items=10, kept=6)
    one, other = next_round(job, tally, 1), next_round(job, tally, 1)
    assert one == other
    assert {unit.round for unit in one} == {1}
    assert one[0].items[0]["attempt"] == 10


def test_enough_is_enough() -> None:
    job = planned(Job(name="top", stages=(("tiny_source", {}),), until=Until(kept=10)))
    assert next_round(job, Tally(job="top", planned_items=10, kept=10), 1) == ()


def test_items_are_numbered_through_all_rounds() -> None:
    counts = Counts(target=5, kept=1, items=7, wanted=2)
    assert numbered_items(counts, {"task": "lift"}) == [{"task": "lift", "attempt": 7}, {"task": "lift", "attempt": 8}]


def test_a_source_of_items_that_gives_none_is_refused() -> None:
    until = Until(kept=10, next_items=f"{__file__}:nothing")
    job = planned(Job(name="top", stages=(("tiny_source", {}),), until=until))
    with pytest.raises(ConfigError, match="nothing gave no items"):
        next_round(job, Tally(job="top"), 0)


def nothing(counts: Counts, settings: object) -> list[dict[str, object]]:
    return []
