"""What the report says about judges: their verdicts, the selections, and calls of models that cheap judges saved."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import sinks_of
from storage.episode import Episode
from storage.verdicts.selection import read_selection, selection_names
from storage.verdicts.verdicts import Verdict, effective, verdicts_of

REJECTED_BEFORE = "rejected before"


@dataclass(frozen=True, kw_only=True)
class JudgeRow:
    """One judge: how many episodes pass, fail and leave it unsure, and its most frequent reasons."""

    judge: str
    passed: int
    failed: int
    unsure: int
    reasons: str


@dataclass(frozen=True, kw_only=True)
class SelectionRow:
    """One selection: counts, and which judges rejected how many."""

    name: str
    kept: int
    rejected: int
    unjudged: int
    by: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Everything about judges: rows, selections, and (saved, asked) calls of each model's sidecar."""

    judges: list[JudgeRow]
    selections: list[SelectionRow]
    saved: Mapping[str, tuple[int, int]]


def judged(root: Path) -> Judged:
    """Read verdicts and selections; no frame is looked at."""
    counts: dict[str, Counter[bool | None]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for verdicts in verdicts_of(root).values():
        for judge, verdict in effective(verdicts).items():
            counts[judge][verdict.passed] += 1
            if verdict.passed is False:
                reasons[judge][_kind(verdict.reason)] += 1
    rows = [
        JudgeRow(
            judge=judge,
            passed=of_judge[True],
            failed=of_judge[False],
            unsure=of_judge[None],
            reasons=", ".join(f"{reason} ({count})" for reason, count in reasons[judge].most_common(4)),
        )
        for judge, of_judge in sorted(counts.items())
    ]
    selections = [_selection(root, name) for name in selection_names(root)]
    return Judged(judges=rows, selections=selections, saved=saved_calls(root))


def _kind(reason: str) -> str:
    """A reason without its numbers, so that equal ones add up."""
    words = [word for word in reason.split() if not any(sign.isdigit() for sign in word)]
    return " ".join(words)[:60] or "no reason"


def _selection(root: Path, name: str) -> SelectionRow:
    selection = read_selection(root, name)
    by = ", ".join(f"{judge} {count}" for judge, count in selection.reasons().items())
    return SelectionRow(
        name=name,
        kept=len(selection.episodes),
        rejected=len(selection.rejected),
        unjudged=len(selection.unjudged),
        by=by,
    )


def saved_calls(root: Path) -> dict[str, tuple[int, int]]:
    """Sidecar of a model's verdicts -> (clips that cheaper judges spared it, clips that it was asked about)."""
    saved = {}
    for sink in sinks_of(root):
        manifests = read_manifests(sink) if sink.is_labels else []
        if any(stage.name.startswith("judge_model") for manifest in manifests for stage in manifest.stages):
            spared = sum(drop.reason == REJECTED_BEFORE for manifest in manifests for drop in manifest.dropped)
            answered = sum(max(0, len(each.episodes) - len(each.dropped)) for each in manifests)
            unread = sum(drop.reason == "unjudged" for manifest in manifests for drop in manifest.dropped)
            saved[sink.name.removeprefix("labels/")] = (spared, answered + unread)
    return saved


def verdict_lines(episode: Episode) -> list[dict[str, Any]]:
    """The verdicts of an episode that did not pass, for its card."""
    verdicts = effective(tuple(each for record in episode.verdicts if (each := Verdict.from_json(record))))
    return [
        {"judge": judge, "state": "unsure" if verdict.passed is None else "fails", "reason": verdict.reason}
        for judge, verdict in verdicts.items()
        if verdict.passed is not True
    ]
