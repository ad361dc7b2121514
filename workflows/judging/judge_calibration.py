"""`pyramid evaluate judge`: a judge's verdicts against people's decisions, or against another judge that knows."""

import json
from pathlib import Path

import numpy as np

from judges.calibration import Case, agreement, threshold_for
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.errors import InputError, UnknownNameError
from storage.verdicts.reviews import people_of
from storage.verdicts.verdicts import FAILURES_ONLY, Verdict, effective, verdicts_of

PEOPLE = "people"


def calibrate_judge(dataset: Path, *, judge: str, truth: str, precision: float, output: Path) -> str:
    """Measure `judge` on the episodes whose truth is known, write the figures, and return them as text."""
    cases = cases_of(Dataset.open(dataset).root, judge=judge, truth=truth)
    figures = agreement(cases)
    scored = [case for case in cases if case.score is not None]
    scores, right = np.array([case.score for case in scored], float), np.array([case.right for case in scored], bool)
    reached = threshold_for(scores, right, precision)
    if reached is not None:
        reached["threshold"] *= sign_of(dataset, judge)
    figures["threshold_for_precision"] = {"wanted": precision, "found": reached}
    write_whole(output, json_bytes(figures))
    threshold = figures["threshold_for_precision"]["found"]
    advice = (
        f"at least {precision:.0%} of what is kept is right: pyramid data select {dataset} --threshold"
        f" {judge}={threshold['threshold']:.4g}"
        if threshold
        else f"no threshold of {judge!r} makes {precision:.0%} of what is kept right"
    )
    return f"{json.dumps(figures, indent=2)}\n{advice}"


def cases_of(root: Path, *, judge: str, truth: str) -> list[Case]:
    """The verdicts of `judge` whose truth is known; scores of which lower is better are negated. Raises
    UnknownNameError or InputError where there is none."""
    by_episode = {episode_id: effective(verdicts) for episode_id, verdicts in verdicts_of(root).items()}
    there = {name for verdicts in by_episode.values() for name in verdicts}
    for name in (judge, *({truth} - {PEOPLE})):
        if name not in there and name not in FAILURES_ONLY:
            raise UnknownNameError.among(f"judge of {root}", name, there)
    people = people_of(root) if truth == PEOPLE else {}
    cases = []
    for episode_id, verdicts in by_episode.items():
        right = people.get(episode_id) if truth == PEOPLE else _passed(verdicts, truth)
        if judge in verdicts and right is not None:
            cases.append(_case(verdicts[judge], right, verdicts.get(truth)))
    if not cases:
        raise InputError(
            f"no episode of {root} has both a verdict of {judge!r} and a truth of {truth!r}; `pyramid review {root}`"
            " lets people decide"
        )
    return cases


def sign_of(root: Path, judge: str) -> float:
    """-1 where a lower score of `judge` is better, else 1."""
    of_judge = (effective(verdicts).get(judge) for verdicts in verdicts_of(root).values())
    return next((-1.0 if verdict.better == "lower" else 1.0 for verdict in of_judge if verdict is not None), 1.0)


def _passed(verdicts: dict[str, Verdict], truth: str) -> bool | None:
    if truth not in verdicts:
        return True if truth in FAILURES_ONLY else None
    return verdicts[truth].passed


def _case(verdict: Verdict, right: bool, known: Verdict | None) -> Case:
    sign = 1.0 if verdict.better == "higher" else -1.0
    score = None if verdict.score is None else sign * verdict.score
    return Case(score=score, passed=verdict.passed, right=right, kind=known.reason if known and not right else "")
