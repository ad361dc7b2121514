"""Does what a clip shows work? The labels of its motion are played where that is possible, and else held to limits.

Other judges look at pictures; a clip is there for its actions. Where its first frame came from our simulator, the
actions that the inverse dynamics model read from the clip are played from the true state, and the outcome is the
verdict (`execution`). Where it did not, what can be known is whether the motion is one that the robot can make: how
sure the labels are of themselves, and how much of them lies beyond limits of value, speed and jerk (`executable`). The
idea is in EVA (arXiv 2603.17808) and Dream.exe (arXiv 2606.04811); the measures are ours.

The judge knows no simulator: what plays is handed to it (`Player`; workflows wires the project's own).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.verdicts.verdicts import Verdict

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of playing actions: whether the task's success check held at the end, how far the hands were from
    where the clip's own simulation had them (metres, mean and at the end; None where there is none), and whether they
    touched anything."""

    succeeded: bool
    drift_m: float | None = None
    final_drift_m: float | None = None
    touched: bool | None = None


class Player(Protocol):
    """Plays actions (T, D) from the state that an episode begins in; `valid` (T,) says which steps have a label. None
    where that state is not known."""

    def __call__(self, episode: Episode, actions: Array, valid: NDArray[np.bool_]) -> Played | None: ...


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig:
    """`action` is the kind of action that is judged. Steps whose value leaves [low, high] of `limits` (embodiment ->
    [low, high], one number a dimension), whose change per second exceeds `fastest` times that range, or whose second
    difference exceeds `jerkiest` of it, are beyond limits; at most `most_beyond` of a clip's steps may be, and the mean
    confidence of its labels must reach `least_confidence`. `least_valid` of the steps must have a label at
    all. `parents` are data sets that hold the simulated episodes whose first frames the clips began with, where that is
    not the clips' own."""

    action: str = "predicted"
    limits: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=dict)
    fastest: float = 8.0
    jerkiest: float = 1.5
    most_beyond: float = 0.1
    least_confidence: float = 0.3
    least_valid: float = 0.5
    parents: tuple[str, ...] = ()
    dataset: str = field(default="@dataset", metadata={"identity": False})

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in (self.most_beyond, self.least_confidence, self.least_valid)):
            raise ConfigError(f"most_beyond, least_confidence and least_valid are shares in 0..1; got {self}")
        for name, (low, high) in self.limits.items():
            if len(low) != len(high) or any(a > b for a, b in zip(low, high, strict=True)):
                raise ConfigError(f"limits of {name!r} are [low, high], one number a dimension each; got {low}, {high}")


class JudgeExecution:
    """The stage, over a player."""

    def __init__(self, config: ExecutionConfig, player: Player | None = None) -> None:
        self.config, self._player = config, player

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._outcome(episode)] for episode in episodes]

    def _outcome(self, episode: Episode) -> Outcome:
        actions = episode.arrays.get(f"action/{self.config.action}")
        if actions is None:
            detail = {"wanted": f"action/{self.config.action}", "mend": "`pyramid label idm` makes predicted actions"}
            return Dropped(episode_id=episode.episode_id, reason="no actions", detail=detail)
        valid = episode.arrays.get(f"label/valid/{self.config.action}", np.ones(len(actions), bool))
        verdicts = [self.executable(episode, actions, valid)]
        played = self._player(episode, actions, valid) if self._player else None
        if played is not None:
            verdicts.append(_of_play(played))
        return Kept(episode.adding(verdicts=tuple(verdict.to_json() for verdict in verdicts)))

    def executable(self, episode: Episode, actions: Array, valid: NDArray[np.bool_]) -> Verdict:
        """Whether the robot can make the motion, as far as labels and limits tell; `valid` (T,) are the steps that have
        a label. The score is the share of the steps that have a label, are within limits, and count as much as the
        label is sure of itself."""
        config = self.config
        confidence = episode.arrays.get(f"label/confidence/{config.action}")
        sure = float(confidence[valid].mean()) if confidence is not None and valid.any() else 1.0
        beyond = beyond_limits(actions, config, episode.embodiment, rate_hz=episode.rate_hz) & valid
        share_beyond = float(beyond.sum() / max(1, valid.sum()))
        share_valid = float(valid.mean())
        reasons = []
        if share_valid < config.least_valid:
            reasons.append(f"only {100 * share_valid:.0f} % of the steps have a label")
        if sure < config.least_confidence:
            reasons.append(f"the labels are unsure ({sure:.2f})")
        if share_beyond > config.most_beyond:
            reasons.append(f"{100 * share_beyond:.0f} % of the steps are beyond what the robot does")
        return Verdict(
            judge="executable",
            passed=not reasons,
            score=round(share_valid * sure * (1 - share_beyond), 4),
            reason="; ".join(reasons),
            evidence={
                "labelled": round(share_valid, 4),
                "confidence": round(sure, 4),
                "beyond": round(share_beyond, 4),
                "frames": np.flatnonzero(beyond)[:16].tolist(),
            },
        )


def beyond_limits(actions: Array, config: ExecutionConfig, embodiment: str, *, rate_hz: float) -> NDArray[np.bool_]:
    """Which steps (T,) are beyond the limits of an embodiment in value, speed or jerk; none where it has no limits."""
    if embodiment not in config.limits:
        return np.zeros(len(actions), bool)
    low, high = (np.asarray(each, float) for each in config.limits[embodiment])
    if len(low) != actions.shape[1]:
        raise ConfigError(f"limits of {embodiment!r} have {len(low)} numbers; its actions have {actions.shape[1]}")
    span = np.maximum(high - low, 1e-9)
    outside = ((actions < low - 0.05 * span) | (actions > high + 0.05 * span)).any(axis=1)
    speed = np.abs(np.diff(actions, axis=0, prepend=actions[:1])) * rate_hz > config.fastest * span
    jerk = np.zeros_like(outside)
    if len(actions) > 2:
        jerk[1:-1] = (np.abs(np.diff(actions, 2, axis=0)) > config.jerkiest * span).any(axis=1)
    beyond: NDArray[np.bool_] = outside | speed.any(axis=1) | jerk
    return beyond


def _of_play(played: Played) -> Verdict:
    numbers = {"drift_m": played.drift_m, "final_drift_m": played.final_drift_m}
    evidence: dict[str, Any] = {name: round(value, 4) for name, value in numbers.items() if value is not None}
    if played.touched is not None:
        evidence["touched"] = played.touched
    return Verdict(
        judge="execution",
        passed=played.succeeded,
        score=float(played.succeeded),
        threshold=0.5,
        reason="" if played.succeeded else "played from the true state, the labels do not solve the task",
        evidence=evidence,
    )
