"""Cheap stages for tests, and assertions about the data set of a run.

`load_test_stages` makes the stages known by name; `wild` is one for every way in which a stage can misbehave.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.catalog import load_stages
from pipelines.job import Job, UnitItems
from pipelines.stage import Resources, Stage
from storage.datasets.commit import holds
from storage.datasets.manifest import read_manifest
from storage.datasets.plan import read_plans
from storage.datasets.unit_paths import Sink, sinks_of
from storage.episode import Episode
from storage.ids import Randomness, canonical_json
from storage.outcomes import Dropped, Kept, Outcome
from storage.shards.reader import Shard
from storage.testing import tiny_episode


@dataclass(frozen=True, kw_only=True)
class TinySourceConfig:
    """`work_s` seconds of CPU are burnt for each item."""

    cameras: tuple[str, ...] = ("front",)
    length: int = 8
    work_s: float = field(default=0.0, metadata={"identity": False})


class TinySource:
    """Items `{"seed": n}` or `{"attempt": n}` become tiny episodes."""

    def __init__(self, config: TinySourceConfig) -> None:
        self._config = config

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness) -> list[list[Outcome]]:
        return [[Kept(self._episode(int(item.get("seed", item.get("attempt", 0)))))] for item in items]

    def _episode(self, seed: int) -> Episode:
        burn(self._config.work_s)
        return tiny_episode(
            seed, length=self._config.length, cameras=self._config.cameras, episode_id=f"tiny-{seed:06d}"
        )


@dataclass(frozen=True, kw_only=True)
class TinyJudgeConfig:
    """An episode is dropped when its score, uniform in 0..1, is below `threshold`."""

    threshold: float = 0.3


class TinyJudge:
    """Scores episodes by chance, and keeps the score as a verdict."""

    def __init__(self, config: TinyJudgeConfig) -> None:
        self._config = config

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._judge(episode, randomness)] for episode in episodes]

    def _judge(self, episode: Episode, randomness: Randomness) -> Outcome:
        score = float(randomness.of(episode.episode_id).uniform())
        if score < self._config.threshold:
            return Dropped(episode_id=episode.episode_id, reason="unlucky", score=score)
        return Kept(episode.adding(verdicts=({"judge": "tiny", "score": score},)))


@dataclass(frozen=True, kw_only=True)
class TinyLabelConfig:
    """Labels are the true actions and noise of this size; episodes named in `refuse` are dropped."""

    noise: float = 0.01
    refuse: tuple[str, ...] = ()


class TinyLabel:
    """Writes `action/predicted` and its validity."""

    def __init__(self, config: TinyLabelConfig) -> None:
        self._config = config

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._label(episode, randomness)] for episode in episodes]

    def _label(self, episode: Episode, randomness: Randomness) -> Outcome:
        if episode.episode_id in self._config.refuse:
            return Dropped(episode_id=episode.episode_id, reason="refused")
        truth = episode.arrays["action/ground_truth"]
        noise = randomness.of(episode.episode_id).normal(scale=self._config.noise, size=truth.shape)
        arrays = {
            "action/predicted": (truth + noise).astype(np.float32),
            "label/valid/predicted": np.ones(episode.length, dtype=np.bool_),
        }
        return Kept(episode.adding(arrays=arrays, provenance={"tiny_label": {"noise": self._config.noise}}))


def burn(seconds: float) -> None:
    """Spend `seconds` of CPU time."""
    end_s = time.process_time() + seconds
    while time.process_time() < end_s:
        pass


_TINY_FIELDS = frozenset({"state", "action/ground_truth", "video/{}"})
_LABEL_FIELDS = frozenset({"action/predicted", "label/valid/predicted"})
_SMALL = Resources(memory_gb=0.1)
_HERE = "pipelines.testing.tiny_jobs"

STAGES: dict[str, Stage] = {
    "tiny_source": Stage(
        call=f"{_HERE}:TinySource",
        config=f"{_HERE}:TinySourceConfig",
        writes=_TINY_FIELDS,
        source=True,
        at_once=1,
        resources=_SMALL,
    ),
    "tiny_judge": Stage(
        call=f"{_HERE}:TinyJudge",
        config=f"{_HERE}:TinyJudgeConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"verdicts"}),
        resources=_SMALL,
    ),
    "tiny_label": Stage(
        call=f"{_HERE}:TinyLabel",
        config=f"{_HERE}:TinyLabelConfig",
        reads=frozenset({"action/ground_truth"}),
        writes=_LABEL_FIELDS,
        process="torch",
        resources=_SMALL,
    ),
    "wild": Stage(
        call="pipelines.testing.faulty_stage:Faulty",
        config="pipelines.testing.faulty_stage:FaultyConfig",
        reads=frozenset({"state"}),
        resources=_SMALL,
    ),
}


def load_test_stages() -> None:
    """Make the stages of this module known to the catalog."""
    load_stages([Path(__file__)])


def tiny_job(
    *stages: tuple[str, Mapping[str, Any]], name: str = "tiny", units: int = 4, items_per_unit: int = 3, **job: Any
) -> Job:
    """A job over numbered items: `tiny_source` with its defaults, or the given stages."""
    numbers = iter(range(units * items_per_unit))
    groups = tuple(UnitItems(items=tuple({"seed": next(numbers)} for _ in range(items_per_unit))) for _ in range(units))
    chosen = stages if stages and stages[0][0] == "tiny_source" else (("tiny_source", {}), *stages)
    return Job(name=name, stages=tuple(chosen), **{"units": groups, **job})


def content_of(root: Path) -> dict[str, str]:
    """What a data set says, by sink and unit, as hashes: of every byte of the shards, and of that part of the manifests
    that may not depend on when, where and in which order the units were made."""
    content: dict[str, str] = {}
    for sink in sinks_of(root):
        for unit_id in sorted(sink.committed()):
            manifest = read_manifest(sink.manifest(unit_id))
            total = hashlib.sha256()
            for path in sorted(path for path in sink.shard(unit_id).rglob("*") if path.is_file()):
                total.update(str(path.relative_to(sink.shard(unit_id))).encode())
                total.update(path.read_bytes())
            stages = [replace(stage, wall_s=0.0, cpu_s=0.0) for stage in manifest.stages]
            fixed = replace(manifest, host="", versions={}, counters={}, stages=tuple(stages))
            total.update(canonical_json(fixed.to_json()).encode())
            content[f"{sink.name}/{unit_id}"] = total.hexdigest()
    return content


def check_run(root: Path, *, ended: bool = True) -> None:
    """Assert what holds after every run, whatever happened during it: plan = manifests + dead letters (once it
    `ended`), no episode twice, and every committed byte as its manifest says."""
    for sink in sinks_of(root):
        planned = [unit.unit_id for unit in read_plans(root) if unit.sink == sink.name]
        committed, dead = sink.committed(), sink.dead()
        assert committed <= set(planned), f"committed and never planned: {committed - set(planned)}"
        assert len(planned) == len(set(planned)), "a unit was planned twice"
        if ended:
            assert committed | dead == set(planned), (
                f"neither committed nor given up: {set(planned) - committed - dead}"
            )
        seen: list[str] = []
        for unit_id in committed:
            manifest = read_manifest(sink.manifest(unit_id))
            seen += [episode["episode_id"] for episode in manifest.episodes]
            if manifest.shard is not None:
                Shard(sink.shard(unit_id)).check()
                assert holds(sink.shard(unit_id), manifest.shard), f"{unit_id} is not what its manifest says"
        assert len(seen) == len(set(seen)), "an episode is there twice"


def dead_letter_stages(root: Path) -> dict[str, Any]:
    """Unit id -> the dead letter about it, of the shards of a data set."""
    from storage.datasets.dead_letters import read_dead_letters

    return {letter.unit_id: asdict(letter) for letter in read_dead_letters(Sink(root))}
