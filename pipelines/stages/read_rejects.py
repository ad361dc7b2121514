"""`read_rejects`: the source of a job that keeps what another job dropped, with each reason as a verdict."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.read_unit import ReadUnitConfig
from storage.datasets.dataset import Dataset
from storage.ids import Randomness
from storage.outcomes import Kept, Outcome


class ReadRejects:
    """Items `{"unit": id, "rejects": {episode_id: {"reason": ..., "score": ..., ...}}}` become the episodes named in
    `rejects`, each with its record as a further verdict of the judge "rejects"."""

    def __init__(self, config: ReadUnitConfig) -> None:
        self._dataset = Dataset.open(Path(config.dataset), labels=config.labels)

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness) -> list[list[Outcome]]:
        return [self._episodes(str(item["unit"]), item["rejects"]) for item in items]

    def _episodes(self, unit_id: str, rejects: Mapping[str, Mapping[str, Any]]) -> list[Outcome]:
        shard = self._dataset.open_shard(unit_id)
        outcomes: list[Outcome] = []
        for place, record in enumerate(shard.episodes):
            why = rejects.get(record["episode_id"])
            if why is not None:
                outcomes.append(
                    Kept(shard.episode(place).adding(verdicts=({"judge": "rejects", "pass": False, **why},)))
                )
        return outcomes
