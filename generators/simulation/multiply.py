"""The stage `Multiply`: attempts at a task in, trajectories out. Simulated as states first; only what is kept is drawn.

An item of a unit asks for attempts: {"first_attempt": 40, "attempts": 10, "keep_at_most": 1} makes attempts 40, 41, ...
until one has been kept or ten were made; "least_rate" may say at which rate of success to give up (`yield_watch`).
Every attempt has a number, and everything in it follows from the run's seed
and that number. A kept attempt becomes an episode, a failed one a `Dropped` whose reason is the cause.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import source_path
from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.mimicgen.attempt import AttemptResult, DemonstrationGenerator
from generators.simulation.mimicgen.episode_builder import EpisodeMaker
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.build import placement_of
from generators.simulation.stepping.determinism import check_determinism
from generators.simulation.stepping.randomness import is_foreign
from generators.simulation.stepping.render import Pictures
from generators.simulation.stepping.scene import Scenes
from generators.simulation.task.execution import execution_record, execution_with
from generators.simulation.task.registry import find_task
from generators.simulation.task.specification import Task
from generators.simulation.yield_watch import LEAST_RATE, check_yield
from storage.errors import ConfigError
from storage.ids import Randomness, content_id
from storage.outcomes import Dropped, Kept, Outcome

logger = logging.getLogger(__name__)


_ITEM_KEYS = frozenset({"first_attempt", "attempts", "keep_at_most", "least_rate", "attempt", "task", "placement"})


@dataclass(frozen=True, kw_only=True)
class _Request:
    """One item of a unit."""

    first_attempt: int
    attempts: int
    keep_at_most: int
    least_rate: float

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "_Request":
        unknown = item.keys() - _ITEM_KEYS
        first = item.get("first_attempt", item.get("attempt"))
        if unknown or not isinstance(first, int) or first < 0:
            raise ConfigError(
                "an item of multiply needs first_attempt (0 or more) and may say attempts and keep_at_most; got"
                f" {dict(item)}"
            )
        attempts = int(item.get("attempts", 1))
        return cls(
            first_attempt=first,
            attempts=attempts,
            keep_at_most=int(item.get("keep_at_most", attempts)),
            least_rate=float(item.get("least_rate", LEAST_RATE)),
        )


class Multiply:
    """Holds the task's scenes, its annotated sources and a renderer; made once a worker."""

    def __init__(self, config: MultiplyConfig) -> None:
        self.config = config
        self.task: Task = find_task(config.task)
        placement_of(self.task, config.placement)
        self._execution = execution_with(config.execution, self.task.execution)
        self._path = source_path(self.task, config.source_file)
        self._scenes = Scenes(self.task, quality=config.quality)
        self._generators: dict[int, DemonstrationGenerator] = {}
        self._makers: dict[int, EpisodeMaker] = {}
        self._kept, self._dropped = 0, Counter[str]()
        if self.task.file is not None:
            self._generator(0)  # what is wrong with a task of one's own ends the job before it begins

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness) -> list[list[Outcome]]:
        """One list of outcomes for each item."""
        requests = [_Request.of(item) for item in items]
        return [self._serve(request, randomness) for request in requests]

    def _serve(self, request: _Request, randomness: Randomness) -> list[Outcome]:
        outcomes: list[Outcome] = []
        kept = 0
        for number in range(request.first_attempt, request.first_attempt + request.attempts):
            if kept >= request.keep_at_most:
                break
            outcome, succeeded = self._attempt(number, randomness)
            outcomes.append(outcome)
            kept += succeeded
            self._watch(outcome, succeeded, request.least_rate)
        return outcomes

    def _watch(self, outcome: Outcome, succeeded: bool, least_rate: float) -> None:
        self._kept += succeeded
        if not succeeded:
            self._dropped[outcome.reason if isinstance(outcome, Dropped) else "kept as a failure"] += 1
        check_yield(
            self.config.task,
            kept=self._kept,
            dropped=self._dropped,
            least_rate=least_rate,
            placement=self.config.placement,
        )

    def _attempt(self, number: int, randomness: Randomness) -> tuple[Outcome, bool]:
        seed = randomness.seed_of(f"{self.task.name}/{self.config.placement}/{number}")
        generator, maker = self._generator(seed % self.task.variants), self._maker(seed % self.task.variants)
        attempt = generator.attempt(seed)
        logger.debug("%s attempt %d: %s", self.task.name, number, attempt.failure or "kept")
        about = self._about(number, attempt)
        identity = content_id("simulation", self.task.name, self.task.version, self._inputs, self.config, number, seed)
        if attempt.succeeded or (self.config.keep_failed and len(attempt.actions)):
            return Kept(maker.episode(attempt, episode_id=identity, about=about)), attempt.succeeded
        detail = {**about, "cause": attempt.detail, "steps": len(attempt.actions), "retries": attempt.retries}
        return Dropped(episode_id=identity, reason=attempt.failure, detail=detail), False

    def _about(self, number: int, attempt: AttemptResult) -> dict[str, Any]:
        file = {"path": str(self.task.file), "code": self._inputs["task_file"]} if self.task.file else None
        return {
            "task": self.task.name,
            **({"task_file": file} if file else {}),
            "placement": self.config.placement,
            "attempt": number,
            "success": attempt.succeeded,
            "seed": attempt.seed,
            "execution": execution_record(self._execution),
        }

    @cached_property
    def _inputs(self) -> dict[str, str]:
        return self.config.inputs()

    @cached_property
    def _sources(self) -> list[SourceDemonstration]:
        sources = SourceReader(self.task, self._scenes).read(self._path, at_most=self.config.sources or None)
        self._scenes.keep_only(self.config.placement)
        return sources

    def _generator(self, variant: int) -> DemonstrationGenerator:
        if variant not in self._generators:
            sources = self._sources
            scene = self._scenes(self.config.placement, variant)
            if not self._generators and is_foreign(scene.environment):
                check_determinism(self.task, scene)
            self._generators[variant] = DemonstrationGenerator(scene, sources, execution=self._execution)
        return self._generators[variant]

    def _maker(self, variant: int) -> EpisodeMaker:
        if variant not in self._makers:
            config = self.config
            pictures = None
            if config.size_px:
                cameras = tuple(config.cameras) or self.task.cameras
                pictures = Pictures(
                    cameras=cameras, width_px=config.size_px, height_px=config.size_px, quality=config.quality
                )
            self._makers[variant] = EpisodeMaker(self._generator(variant).scene, pictures, codec=config.codec)
        return self._makers[variant]
