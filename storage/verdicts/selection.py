"""Selections: which episodes of a data set are kept, why, and why the others are not. A small named file each.

    selections/<name>.json     policy and thresholds -> episodes, with the hash of the verdicts that it was made from

Judges write verdicts and drop nothing; a selection is made from verdicts alone, so that a threshold moves without a
model and nothing is lost. Readers, exports, training sources and reports take a selection by its name.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from storage.atomic_files import read_json, sealed_json_bytes, write_whole
from storage.errors import ConfigError, CorruptFileError, MissingFileError, SchemaVersionError, UnknownNameError
from storage.verdicts.duplicates import DUPLICATE, FARTHEST_BITS, duplicates
from storage.verdicts.scope import scope_of
from storage.verdicts.verdicts import FAILURES_ONLY, Verdict, effective, verdicts_hash, verdicts_of

FOLDER = "selections"
SELECTION_VERSION = 1
PERSON = "person"
"""The reason of what a person accepted or refused; it outweighs every judge."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


@dataclass(frozen=True, kw_only=True)
class SelectionPolicy:
    """An episode is kept when it passes every judge that counts.

    `judges` are the ones that count, () for every judge that speaks about the episode's layer (see `scope`), at least
    one. `thresholds` replaces the
    thresholds that the judges themselves used. `unsure` says what becomes of an episode that a judge is unsure of.
    With `keep_best` below 1 at most that share of the data set is kept: what passes, ranked by the score of `best_by`.
    `labels` are sidecars that readers join with the selection: new instructions, for example.
    """

    judges: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unsure: Literal["keep", "reject"] = "reject"
    keep_best: float = 1.0
    best_by: str = ""
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.keep_best <= 1 or self.unsure not in ("keep", "reject"):
            raise ConfigError(f'keep_best is a share in (0, 1] and unsure "keep" or "reject"; got {self}')
        if self.keep_best < 1 and not self.best_by:
            raise ConfigError(f"keep_best = {self.keep_best:g} needs best_by, the judge whose score ranks the episodes")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """`episodes` are kept; `rejected` maps the others to the reasons, "judge: reason"; `unjudged` are neither: a
    judge that counts has no verdict of them, and none rejected them. `verdicts` is the hash of the verdicts."""

    name: str
    policy: SelectionPolicy
    episodes: tuple[str, ...]
    rejected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()
    verdicts: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a selection is named in letters, digits, '_', '.' and '-'; got {self.name!r}")

    def reasons(self) -> dict[str, int]:
        """Judge -> how many episodes it rejected (an episode may have several), most frequent first."""
        counts = Counter(
            judge for reasons in self.rejected.values() for judge in {text.split(":")[0] for text in reasons}
        )
        return dict(counts.most_common())

    def to_json(self) -> dict[str, Any]:
        return {"selection_version": SELECTION_VERSION, **asdict(self)}


def make_selection(
    root: Path, name: str, policy: SelectionPolicy | None = None, *, people: Mapping[str, bool] | None = None
) -> Selection:
    """Select from the verdicts of the data set in `root`; no model and no frame is touched.

    `people` maps episodes to what a person decided. Raises UnknownNameError where the policy names a judge that the
    data set has no verdict of, or `people` an episode that it does not have.
    """
    policy, people = policy or SelectionPolicy(), people or {}
    verdicts = verdicts_of(root)
    by_episode = {episode_id: effective(of_episode) for episode_id, of_episode in verdicts.items()}
    there = {judge for of_episode in by_episode.values() for judge in of_episode}
    for judge in (*policy.judges, *policy.thresholds, *filter(None, [policy.best_by])):
        if judge not in there:
            raise UnknownNameError.among(f"judge of {root}", judge, there, hint="(`pyramid filter` runs judges)")
    _refuse_unknown(people, by_episode, f"a decision of a person about {root}")
    scope = None if policy.judges else scope_of(root)
    kept, rejected, unjudged = [], {}, []
    for episode_id, of_episode in by_episode.items():
        judges = scope.judges_of(episode_id) if scope else policy.judges
        reasons, open_judges = _decide(of_episode, judges or tuple(there), policy)
        if episode_id in people:
            reasons, open_judges = ([] if people[episode_id] else [f"{PERSON}: refused"]), []
        if reasons:
            rejected[episode_id] = tuple(reasons)
        elif open_judges:
            unjudged.append(episode_id)
        else:
            kept.append(episode_id)
    single, repeats = _without_duplicates(kept, by_episode, policy.judges or tuple(there), policy, people)
    best, late = _best(single, by_episode, policy, people)
    return Selection(
        name=name,
        policy=policy,
        episodes=tuple(best),
        rejected={**rejected, **repeats, **late},
        unjudged=tuple(unjudged),
        verdicts=verdicts_hash(verdicts),
    )


def _decide(
    verdicts: Mapping[str, Verdict], judges: Iterable[str], policy: SelectionPolicy
) -> tuple[list[str], list[str]]:
    """Why an episode is rejected, and the judges that have said nothing about it."""
    reasons, silent = [], []
    for judge in judges:
        verdict = verdicts.get(judge)
        if verdict is None:
            if judge not in FAILURES_ONLY:
                silent.append(judge)
            continue
        passes = verdict.passes(None if judge == DUPLICATE else policy.thresholds.get(judge))
        if passes is False:
            reasons.append(f"{judge}: {verdict.reason or _shown(verdict, policy.thresholds.get(judge))}")
        elif passes is None and policy.unsure == "reject":
            reasons.append(f"{judge}: unsure{f', {verdict.reason}' if verdict.reason else ''}")
    return reasons, silent


def _shown(verdict: Verdict, threshold: float | None) -> str:
    bar = verdict.threshold if threshold is None else threshold
    return "failed" if verdict.score is None else f"score {verdict.score:.4g} against {bar}"


def _without_duplicates(
    kept: list[str],
    verdicts: Mapping[str, Mapping[str, Verdict]],
    judges: Iterable[str],
    policy: SelectionPolicy,
    people: Mapping[str, bool],
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """`kept` without repeats, and their reasons. Of equal ones the first stays, or what a person accepted."""
    if DUPLICATE not in judges:
        return kept, {}
    order = sorted(kept, key=lambda episode_id: not people.get(episode_id))
    fingerprints = {
        name: str(verdicts[name][DUPLICATE].evidence.get("fingerprint", ""))
        for name in order
        if DUPLICATE in verdicts[name]
    }
    bits = policy.thresholds.get(DUPLICATE, FARTHEST_BITS)
    repeats: dict[str, tuple[str, ...]] = {
        name: (f"{DUPLICATE}: repeats {other}",)
        for name, other in duplicates(fingerprints, farthest_bits=bits).items()
        if not people.get(name)
    }
    return [name for name in kept if name not in repeats], repeats


def _best(
    kept: list[str], verdicts: Mapping[str, Mapping[str, Verdict]], policy: SelectionPolicy, people: Mapping[str, bool]
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The best share of `kept` by the score of a judge, and the reasons of the rest. Ties go by episode id."""
    if policy.keep_best == 1:
        return kept, {}

    def rank(episode_id: str) -> tuple[bool, float, str]:
        verdict = verdicts[episode_id].get(policy.best_by)
        score = None if verdict is None else verdict.score
        if score is None:
            return (True, 0.0, episode_id)
        return (False, -score if verdict is not None and verdict.better == "higher" else score, episode_id)

    chosen = [episode_id for episode_id in kept if not people.get(episode_id)]
    count = round(policy.keep_best * len(verdicts))
    best = set(sorted(chosen, key=rank)[:count]) | {episode_id for episode_id in kept if people.get(episode_id)}
    reason = (f"{policy.best_by}: not among the best {policy.keep_best:.4g} of the data set",)
    return [name for name in kept if name in best], {name: reason for name in kept if name not in best}


def write_selection(root: Path, selection: Selection) -> Path:
    """Write the file of a selection; one of the same name is replaced."""
    path = _path(root, selection.name)
    write_whole(path, sealed_json_bytes(selection.to_json()))
    return path


def selection_names(root: Path) -> tuple[str, ...]:
    """Names of the selections of the data set in `root`."""
    return tuple(sorted(path.stem for path in (root / FOLDER).glob("*.json") if path.name[0] != "."))


def read_selection(root: Path, name: str) -> Selection:
    """The selection `name`; raises UnknownNameError, CorruptFileError or SchemaVersionError."""
    path = _path(root, name)
    try:
        record = read_json(path)
    except MissingFileError:
        hint = "(`pyramid data select` makes one)"
        raise UnknownNameError.among(f"selection of {root}", name, selection_names(root), hint=hint) from None
    version = record.pop("selection_version", None)
    if version != SELECTION_VERSION:
        raise SchemaVersionError(f"{path}: this program reads selections of version {SELECTION_VERSION}; got {version}")
    try:
        policy = record["policy"]
        lists = {key: tuple(policy[key]) for key in ("judges", "labels")}
        return Selection(
            **{
                **record,
                "policy": SelectionPolicy(**{**policy, **lists}),
                "episodes": tuple(record["episodes"]),
                "unjudged": tuple(record["unjudged"]),
                "rejected": {name: tuple(reasons) for name, reasons in record["rejected"].items()},
            }
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"{path} is no selection: {error}; make it again with `pyramid data select`") from error


def check_selection(selection: Selection, episodes: Iterable[str], root: Path) -> frozenset[str]:
    """The episodes of `selection`; raises UnknownNameError where it names one that is not among `episodes`."""
    _refuse_unknown(selection.episodes, set(episodes), f"selection {selection.name!r} of {root}")
    return frozenset(selection.episodes)


def is_stale(root: Path, selection: Selection) -> bool:
    """Whether judges have said more since the selection was made."""
    return verdicts_hash(verdicts_of(root)) != selection.verdicts


def _refuse_unknown(names: Iterable[str], known: Iterable[str], what: str) -> None:
    there = set(known)
    if strangers := sorted(set(names) - there):
        raise UnknownNameError(
            f"{what} names {len(strangers)} episodes that this data set does not have, the first is {strangers[0]!r};"
            " it was made for another data set: make it here with `pyramid data select`"
        )


def _path(root: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UnknownNameError.among(f"selection of {root}", name, selection_names(root))
    return root / FOLDER / f"{name}.json"
