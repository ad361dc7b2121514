"""A stage of one's own: how much a robot moves, as a verdict; episodes that stand still are dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.stage import Resources, Stage
from storage.episode import Episode
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Episodes whose state moves less than `least` (mean absolute change a step) are dropped; 0 drops none."""

    least: float = 0.0


class Motion:
    """Measures the state's motion."""

    def __init__(self, config: MotionConfig) -> None:
        self._least = config.least

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._judge(episode)] for episode in episodes]

    def _judge(self, episode: Episode) -> Outcome:
        motion = float(np.abs(np.diff(episode.arrays["state"], axis=0)).mean()) if episode.length > 1 else 0.0
        if motion < self._least:
            return Dropped(episode_id=episode.episode_id, reason="stands still", score=motion)
        return Kept(episode.adding(verdicts=({"judge": "motion", "pass": True, "score": motion},)))


STAGES = {
    "motion": Stage(
        call=f"{__file__}:Motion",
        config=f"{__file__}:MotionConfig",
        reads=frozenset({"state"}),
        writes=frozenset({"verdicts"}),
        resources=Resources(memory_gb=0.5),
    )
}
