"""The judge of numbers: verdicts about each episode that need no model, kept in a sidecar.

| judge             | score                                                        | low is good |
| still             | share of steps in which nothing moves                        | yes         |
| jerk              | third against first differences of the action                | yes         |
| saturated         | longest time share of an action at its own extreme           | yes         |
| constant          | share of action dimensions that never change                 | yes         |
| outlier           | share of steps with a wild jump in state or action           | yes         |
| action_vs_state   | distance of the state from the target that it follows        | yes         |
| clock_jitter      | largest deviation of a step from 1 / rate                    | yes         |
| instruction       | 1 where there is one                                         | no          |
| duplicate         | 1 where another episode has the same numbers                 | yes         |
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from judges.quality.measures import (
    clock_jitter,
    constant_share,
    follow_error,
    jerkiness,
    numbers_of,
    outlier_share,
    saturated_share,
    still_share,
)
from storage.embodiment import Embodiment, embodiment_named
from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import Randomness
from storage.outcomes import Kept, Outcome
from storage.verdicts.verdicts import Verdict

THRESHOLDS: Mapping[str, float] = {
    "still": 0.6,
    "jerk": 2.6,
    "saturated": 0.3,
    "constant": 0.9,
    "outlier": 0.03,
    "action_vs_state": 0.25,
    "clock_jitter": 0.5,
}
"""Of each judge the score above which an episode fails. Ours: chosen on real and simulated recordings, to be moved."""


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """`thresholds` move those of `THRESHOLDS`; `duplicates` maps an episode to the first one with the same numbers."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    duplicates: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := set(self.thresholds) - THRESHOLDS.keys():
            raise ConfigError(f"no judge of quality is called {sorted(unknown)}; there are {', '.join(THRESHOLDS)}")


class JudgeQuality:
    """The stage: every episode is kept, with its verdicts."""

    def __init__(self, config: QualityConfig) -> None:
        self._config = config
        self._thresholds = {**THRESHOLDS, **config.thresholds}

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness, /) -> list[list[Outcome]]:
        return [[Kept(episode.adding(verdicts=tuple(self._records(episode))))] for episode in episodes]

    def _records(self, episode: Episode) -> Iterator[Mapping[str, object]]:
        yield from (verdict.to_json() for verdict in self.judge(episode))

    def judge(self, episode: Episode) -> list[Verdict]:
        """Every verdict about one episode; judges without their numbers say nothing."""
        verdicts = [*self._of_action(episode), *self._of_vectors(episode)]
        if "timestamp" in episode.arrays:
            jitter = clock_jitter(numbers_of(episode.arrays["timestamp"]), episode.rate_hz)
            verdicts.append(self._below("clock_jitter", jitter, f"a step is off by {jitter:.0%} of its length"))
        spoken = bool(episode.instruction.strip())
        reason = "" if spoken else "there is no instruction"
        verdicts.append(Verdict(judge="instruction", passed=spoken, score=float(spoken), threshold=1.0, reason=reason))
        first = self._config.duplicates.get(episode.episode_id, "")
        same = float(bool(first))
        text = f"the same numbers as episode {first}" if first else ""
        verdicts.append(
            Verdict(judge="duplicate", passed=not first, score=same, threshold=0.5, better="lower", reason=text)
        )
        return verdicts

    def _of_action(self, episode: Episode) -> Iterator[Verdict]:
        if "action/ground_truth" not in episode.arrays:
            return
        embodiment, action = embodiment_named(episode.embodiment), numbers_of(episode.arrays["action/ground_truth"])
        jerk = jerkiness(action)
        yield self._below("jerk", jerk, f"third differences are {jerk:.1f} times the first ones")
        share, worst = saturated_share(action, embodiment.action)
        yield self._below("saturated", share, f"action {worst} sits at its extreme in {share:.0%} of the steps")
        share, still = constant_share(action)
        yield self._below("constant", share, f"actions {still[:8]} never change", {"dimensions": still})
        if "state" in episode.arrays and _is_target(embodiment):
            error = follow_error(numbers_of(episode.arrays["state"]), action)
            yield self._below("action_vs_state", error, f"the state stays {error:.0%} of the range from its target")

    def _of_vectors(self, episode: Episode) -> Iterator[Verdict]:
        names = [name for name in ("state", "action/ground_truth") if name in episode.arrays]
        vectors = {name: numbers_of(episode.arrays[name]) for name in names}
        if not vectors:
            return
        still = min(still_share(rows) for rows in vectors.values())
        yield self._below("still", still, f"nothing moves in {still:.0%} of the steps")
        embodiment = embodiment_named(episode.embodiment)
        layouts = {"state": embodiment.state, "action/ground_truth": embodiment.action}
        share, step = max(outlier_share(rows, layouts[name]) for name, rows in vectors.items())
        yield self._below(
            "outlier", share, f"{share:.1%} of the steps jump, first at step {step}", {"first_step": step}
        )

    def _below(self, judge: str, score: float, text: str, evidence: Mapping[str, object] | None = None) -> Verdict:
        """The verdict of a judge whose score is to stay at or below its threshold."""
        threshold = self._thresholds[judge]
        passed = score <= threshold
        return Verdict(
            judge=judge,
            passed=passed,
            score=round(score, 6),
            threshold=threshold,
            better="lower",
            reason="" if passed else text,
            evidence=evidence or {},
        )


def _is_target(embodiment: Embodiment) -> bool:
    """Whether the action is the target of the state itself: equal layouts, and no change or command among them."""
    kinds = {part.quantity for part in embodiment.action.parts}
    return (
        bool(embodiment.state.parts)
        and embodiment.state == embodiment.action
        and kinds <= {"joint", "hand", "gripper", "position"}
    )
