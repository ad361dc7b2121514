"""What a stage owes the runner, checked on every unit: the list is in `pipelines/stage.py`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pipelines.planning.field_check import gives
from pipelines.unit.unit_state import name_of
from storage.episode import Episode
from storage.errors import StageContractError
from storage.outcomes import Dropped, Kept, Outcome


def check_outcomes(
    stage: str, before: Sequence[Any], outcomes: Any, *, writes: frozenset[str], labelling: bool
) -> None:
    """Raise StageContractError unless a stage kept its side: one list of outcomes an
    input, nothing written that its row does not declare, and from a labeller each episode once and under its own id."""
    if not isinstance(outcomes, list) or len(outcomes) != len(before):
        came = f"{len(outcomes)} lists" if isinstance(outcomes, list) else type(outcomes).__name__
        raise StageContractError(
            f"stage {stage!r} must return one list of outcomes an input, {len(before)}; got {came}"
        )
    for thing, outcomes_of_it in zip(before, outcomes, strict=True):
        if any(not isinstance(outcome, Kept | Dropped) for outcome in outcomes_of_it):
            raise StageContractError(f"stage {stage!r} must return Kept and Dropped; got {_kinds(outcomes_of_it)}")
        if labelling and [_id(outcome) for outcome in outcomes_of_it] != [name_of(thing)]:
            raise StageContractError(
                f"stage {stage!r} labels, so it gives each episode back once, under its own id; got"
                f" {_kinds(outcomes_of_it)} for {name_of(thing)!r}"
            )
        for outcome in outcomes_of_it:
            if isinstance(outcome, Kept):
                _check_writes(stage, thing, outcome.episode, writes=writes)


def _check_writes(stage: str, before: Any, after: Episode, *, writes: frozenset[str]) -> None:
    known = before.fields if isinstance(before, Episode) else frozenset()
    if name := _undeclared(after.fields - known - {"instruction", "provenance"}, writes):
        raise StageContractError(f"stage {stage!r} wrote {name!r}; its row declares {sorted(writes)}")


@lru_cache(maxsize=256)  # the episodes of a job hold the same fields, nearly always
def _undeclared(names: frozenset[str], writes: frozenset[str]) -> str:
    """The first of `names` that `writes` do not speak of; "" where there is none."""
    return next((name for name in sorted(names) if not any(gives(declared, name) for declared in writes)), "")


def _id(outcome: Outcome) -> str:
    return outcome.episode.episode_id if isinstance(outcome, Kept) else outcome.episode_id


def _kinds(outcomes: Sequence[Any]) -> Mapping[str, int]:
    return dict(Counter(type(outcome).__name__ for outcome in outcomes))
