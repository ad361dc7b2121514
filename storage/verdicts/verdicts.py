"""Verdicts: what judges say about episodes. A verdict decides nothing; a selection (`storage.verdicts.selection`) does.

A judge is a labelling stage. Its verdicts lie in the records of a sidecar, `labels/<name>`, one JSON object each:

    {"judge": "frozen", "version": 1, "pass": false, "score": 2.4, "threshold": 1.5, "better": "lower",
     "reason": "still from 3.0 to 5.4 s", "evidence": {"frames": [24, 43]}}
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import sinks_of
from storage.errors import SchemaError
from storage.ids import content_id

Better = Literal["higher", "lower"]
FAILURES_ONLY = frozenset({"simulation"})
"""Judges that speak of failures only: an episode without a verdict of theirs has passed."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one judge says about one episode.

    `passed` is None where the judge is unsure. `score` is in the judge's own unit, None where there is no number; with
    it a threshold may be moved later, `better` says in which direction. `replaces` names a judge whose verdict this
    one stands in for (a clip that was judged again under a new instruction). `evidence` holds JSON values, such as
    frame numbers, the model, and the hash of its prompt.
    """

    judge: str
    version: int = 1
    passed: bool | None
    score: float | None = None
    threshold: float | None = None
    better: Better = "higher"
    reason: str = ""
    replaces: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.judge or self.better not in ("higher", "lower"):
            raise SchemaError(f'a verdict names its judge, and better is "higher" or "lower"; got {self}')

    def to_json(self) -> dict[str, Any]:
        record = asdict(self)
        record["pass"] = record.pop("passed")
        return {name: value for name, value in record.items() if value not in ("", {}) or name == "pass"}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Verdict | None":
        """The verdict in `record`; None where it names no judge or says neither pass nor score. Unknown keys are what
        the judge found worth keeping; they go into the evidence."""
        if not record.get("judge") or ("pass" not in record and "score" not in record):
            return None
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        rest = {name: value for name, value in record.items() if name not in known and name != "pass"}
        return cls(**{**known, "passed": record.get("pass"), "evidence": {**known.get("evidence", {}), **rest}})

    def passes(self, threshold: float | None = None) -> bool | None:
        """Whether the episode passes this judge under `threshold` (None: as the judge said). None: unsure."""
        if threshold is None or self.score is None:
            return self.passed
        return self.score >= threshold if self.better == "higher" else self.score <= threshold


def judging_sidecars(root: Path) -> tuple[str, ...]:
    """Names of the sidecars of the data set in `root` that hold verdicts."""
    names = []
    for sink in sinks_of(root):
        records = (record for manifest in read_manifests(sink) for record in manifest.episodes)
        if sink.is_labels and any(record["verdicts"] for record in records):
            names.append(sink.name.removeprefix("labels/"))
    return tuple(names)


def verdicts_of(root: Path) -> dict[str, tuple[Verdict, ...]]:
    """Episode id -> everything that judges say about it, shards first, then sidecars by name, from manifests alone.

    An episode that no judge spoke about maps to (); one that a sidecar dropped has no verdict of that sidecar.
    """
    by_episode: dict[str, list[Verdict]] = {}
    for episode_id, record in _records(root):
        verdicts = [verdict for each in record["verdicts"] if (verdict := Verdict.from_json(each))]
        by_episode.setdefault(episode_id, []).extend(verdicts)
    return {episode_id: tuple(verdicts) for episode_id, verdicts in by_episode.items()}


def _records(root: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for sink in sinks_of(root):
        for manifest in read_manifests(sink):
            dropped = {drop.episode_id for drop in manifest.dropped} if sink.is_labels else set()
            for record in manifest.episodes:
                if record["episode_id"] not in dropped:
                    yield str(record["episode_id"]), record


def effective(verdicts: tuple[Verdict, ...]) -> dict[str, Verdict]:
    """Judge -> the verdict of it that counts: the last one, or the one that replaces it."""
    by_judge = {verdict.judge: verdict for verdict in verdicts if not verdict.replaces}
    return {**by_judge, **{verdict.replaces: verdict for verdict in verdicts if verdict.replaces}}


def judges_in(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """The judges whose verdicts are among the stored `records`."""
    verdicts = (Verdict.from_json(record) for record in records)
    return {verdict.replaces or verdict.judge for verdict in verdicts if verdict}


def verdicts_hash(verdicts: Mapping[str, tuple[Verdict, ...]]) -> str:
    """Equal verdicts about equal episodes have equal ones."""
    return content_id({name: [verdict.to_json() for verdict in verdicts[name]] for name in sorted(verdicts)})
