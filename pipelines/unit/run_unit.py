"""One unit through its stages to the commit. Both engines run this and nothing else, so they write the same bytes."""

import logging
import resource
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.job import PlannedJob, PlannedStage
from pipelines.stage import StageCall
from pipelines.unit.already_there import AlreadyThere, AnotherWasFasterError, dropped
from pipelines.unit.crash_recorder import recording
from pipelines.unit.failure import Failure
from pipelines.unit.outcomes import Meter, Outcomes
from pipelines.unit.sidecar import sidecar_episodes
from pipelines.unit.stopwatch import Stopwatch
from pipelines.unit.unit_result import UnitResult
from pipelines.unit.unit_state import UnitState
from storage.datasets.commit import Attempt, is_committed
from storage.datasets.manifest import Manifest, StageRecord, read_manifest
from storage.datasets.plan import WorkUnit
from storage.datasets.unit_paths import SHARDS, Sink
from storage.embodiment import embodiment_named
from storage.errors import InputError, StageContractError
from storage.shards.record import ShardRecord
from storage.shards.writer import ShardWriter

_LOG = logging.getLogger(__name__)
COMMIT = "commit"
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024


class UnitWorker:
    """Takes units through stages [first, end) of a job, and commits them after the last stage.

    Stages are made when the first unit needs them, and made anew after a failure: what one unit broke, a simulator
    or a connection, must not reach the next. While a unit runs it is recorded (`pipelines.unit.crash_recorder`); one
    that takes too long is interrupted with `interrupt`, otherwise its process is ended.
    """

    def __init__(
        self, root: Path, job: PlannedJob, *, first: int = 0, end: int | None = None, interrupt: bool = False
    ) -> None:
        self._root, self.job, self._first, self._interrupt = root, job, first, interrupt
        self._chain = job.stages[first:end]
        self._commits = first + len(self._chain) == len(job.stages)
        self._there = AlreadyThere(root, job.name)
        self._calls: dict[str, StageCall] = {}
        self._at = "start"
        self._making = False

    def __call__(self, start: WorkUnit | UnitState) -> UnitState | UnitResult:
        """The unit after the stages, or its result: committed, or failed for whatever reason."""
        state = start if isinstance(start, UnitState) else UnitState.start(start)
        unit = state.unit
        sink = Sink(self._root, unit.sink)
        limits: Any = {"timeout_s": self.job.policy.unit_timeout_s, "interrupt": self._interrupt}
        self._at = "start"
        try:
            if is_committed(sink, unit.unit_id):
                return UnitResult.of(read_manifest(sink.manifest(unit.unit_id)), items=len(unit.items))
            state = self._without_items_there(state)
            with recording(self._root, unit.unit_id, part=self._first, **limits) as recorder:
                for place, stage in enumerate(self._chain, start=self._first):
                    made = Outcomes(stage, state, Meter(self.job, place, recorder))
                    call = self._made(stage)
                    for inputs in made.chunks():
                        try:
                            made.take(inputs, call(inputs, made.randomness))
                        except InputError as error:
                            made.take_one_by_one(inputs, call, error)
                    state = made.state_after()
                return self._commit(state) if self._commits else state
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stage raises, SystemExit too, becomes a record
            _LOG.info("unit %s failed in stage %s: %s", unit.unit_id, self._at, type(error).__name__)
            failure = Failure.of(error, stage=self._at, making=self._making, root=self._root)
            self.close()
            return UnitResult(unit_id=unit.unit_id, items=len(unit.items), failure=failure)

    def close(self) -> None:
        """Let go of the stages; those that have a `close` are told."""
        made, self._calls = self._calls, {}
        for name, call in made.items():
            close = getattr(call, "close", None)
            try:
                if callable(close):
                    close()
            except Exception:  # noqa: BLE001 - the stage is given up; what it says about that changes nothing
                _LOG.warning("stage %s does not close", name, exc_info=True)

    def _made(self, stage: PlannedStage) -> StageCall:
        self._at, self._making = stage.name, True
        call = self._calls.get(stage.name)
        if call is None:
            call = self._calls[stage.name] = stage.make(self._root)
        self._making = False
        return call

    def _without_items_there(self, state: UnitState) -> UnitState:
        """Items that name an episode which is there already are not worked on."""
        named = [str(item["episode_id"]) for item in state.unit.items if "episode_id" in item]
        if self._first or state.unit.sink != SHARDS or not named:
            return state
        there = self._there.among(named)
        return state.without(dropped(name for name in named if name in there))

    def _commit(self, state: UnitState) -> UnitResult:
        self._at = COMMIT
        while True:
            try:
                ids = [episode.episode_id for episode in state.inputs]
                there = self._there.among(ids) if state.unit.sink == SHARDS else frozenset()
                return self._write_and_publish(state.without(dropped(name for name in ids if name in there)))
            except AnotherWasFasterError:
                _LOG.info("another job was faster with an episode of unit %s", state.unit.unit_id)

    def _write_and_publish(self, state: UnitState) -> UnitResult:
        unit = state.unit
        sink = Sink(self._root, unit.sink)
        ids = [episode.episode_id for episode in state.inputs]
        if len(set(ids)) != len(ids):
            twice = [name for name, times in Counter(ids).items() if times > 1]
            raise StageContractError(f"episode ids must differ; given more than once: {twice[:3]}")
        clock = Stopwatch()
        with Attempt(sink, unit.unit_id) as attempt:
            shard = _write(attempt.path, state, labelling=sink.is_labels)
            record = StageRecord(
                name=COMMIT,
                version=1,
                wall_s=clock.wall_s,
                cpu_s=clock.cpu_s,
                inputs=len(state.inputs),
                kept=len(shard.episodes) if shard else 0,
                bytes=shard.bytes if shard else 0,
            )
            manifest = self._manifest(state, record, shard)
            attempt.publish(manifest, within=None if sink.is_labels else self._there.kept_out(ids))
        embodiments = sorted({str(episode["embodiment"]) for episode in manifest.episodes})
        declarations = tuple(embodiment_named(name).to_json() for name in embodiments)
        return UnitResult.of(manifest, items=len(unit.items), embodiments=declarations)

    def _manifest(self, state: UnitState, written: StageRecord, shard: ShardRecord | None) -> Manifest:
        unit = state.unit
        return Manifest(
            unit_id=unit.unit_id,
            job=unit.job,
            config_hash=unit.config_hash,
            seed=unit.seed,
            sink=unit.sink,
            shard=shard,
            dropped=state.dropped,
            stages=(*state.stages, written),
            host=socket.gethostname(),
            versions=dict(self.job.versions),
            counters=_counters(),
        )


def _write(path: Path, state: UnitState, *, labelling: bool) -> ShardRecord | None:
    """The unit's episodes as a shard at `path`; None when there are none."""
    episodes = list(sidecar_episodes(state)) if labelling else list(state.inputs)
    if not episodes:
        return None
    with ShardWriter(path, unit_id=state.unit.unit_id) as writer:
        for episode in episodes:
            writer.add(episode)
        return writer.close()


def _counters() -> Mapping[str, float]:
    return {"peak_memory_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_BYTES)}
