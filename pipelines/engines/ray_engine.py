"""The Ray engine: Ray Data with one row = one block = one unit.

Stages that share a process are fused (`pipelines.engines.fused_stages`); the last one commits, so that only summaries
come back.
Segments without a GPU run as tasks, whose processes stay warm and keep the stages, and need nothing reserved; segments
with one run in actor pools. What is guarded against here was seen with Ray 2.60: docs/stages-and-runs.md lists it.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.data.exceptions import ExecutionTimeoutError

from pipelines.engines.fused_stages import Segment, segments_of, with_gpus
from pipelines.engines.gpu_share import gpu_share
from pipelines.engines.ray_session import RaySession
from pipelines.engines.ray_worker import SegmentActor, run_row
from pipelines.job import PlannedJob
from pipelines.unit.crash_recorder import discard_recording, read_recording
from pipelines.unit.process_death import result_of_death
from pipelines.unit.unit_result import UnitResult
from storage.datasets.manifest import read_manifest
from storage.datasets.plan import WorkUnit
from storage.datasets.unit_paths import Sink
from storage.errors import WorldError
from storage.ids import canonical_json

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 600.0
_INIT_DEATHS = 10


class RayEngine:
    """Runs the stages of `job` on a Ray cluster; see `RaySession` for `address` and `workers`."""

    def __init__(self, root: Path, job: PlannedJob, *, address: str | None, workers: int | None) -> None:
        self._root, self._job, self._workers = root, job, workers
        self._segments = segments_of(job.stages)
        self._explained: set[str] = set()
        self._session = RaySession(address=address, workers=workers, segments=self._segments)
        self._shares: dict[int, float] = {}
        if self._session.gpus:
            pools = [segment for segment in self._segments if segment.needs_gpu]
            shares = [gpu_share(segment.resources) for segment in pools]
            self._segments = with_gpus(self._segments, shares=shares, gpus=self._session.gpus)
            self._shares = {each.first: gpu_share(each.resources) for each in self._segments if each.needs_gpu}
        self._actors_died = False

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        for group in [[unit] for unit in units] if alone else [list(units)]:
            silent = {unit.unit_id: unit for unit in group}
            for result in self._execute(group, alone=alone):
                if silent.pop(result.unit_id, None):
                    yield result
            yield from map(self._explain, silent.values())

    def _explain(self, unit: WorkUnit) -> UnitResult:
        """What can be said about a unit whose process died before it could say anything."""
        manifest = Sink(self._root, unit.sink).manifest(unit.unit_id)
        if manifest.exists():
            # Committed by a process that died before it could say so.
            return UnitResult.of(read_manifest(manifest), items=len(unit.items))
        self._explained.add(unit.unit_id)
        self._actors_died = bool(self._shares)
        return result_of_death(unit, read_recording(self._root, unit.unit_id))

    def close(self) -> None:
        for unit_id in self._explained:
            discard_recording(self._root, unit_id)

    def _execute(self, units: Sequence[WorkUnit], *, alone: bool) -> Iterator[UnitResult]:
        if self._actors_died:
            self._session.renew()
            self._actors_died = False
        self._set_context()
        rows = [{"unit": unit.to_text(), "state": b"", "result": ""} for unit in units]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
        for segment in self._segments:
            dataset = self._through(dataset, segment, units=len(units), alone=alone)
        try:
            for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for text in batch["result"].to_pylist():
                    yield UnitResult.from_text(text)
        except ExecutionTimeoutError as error:
            _LOG.warning("job %s: nothing moved for too long, units are tried again: %s", self._job.name, error)
        except ray.exceptions.RayError as error:
            raise WorldError(f"Ray stopped under job {self._job.name!r}; resume it: {error}") from error

    def _through(self, dataset: Any, segment: Segment, *, units: int, alone: bool) -> Any:
        """`dataset` after one segment."""
        about = (str(self._root), canonical_json(self._job.to_json()), segment.first, segment.end)
        retries = 0 if alone else 1
        size = 1 if alone else self._workers
        common: dict[str, Any] = {
            "batch_size": 1,
            "batch_format": "pyarrow",
            "memory": segment.resources.memory_gb * 1024**3,
            # A value of its own keeps Ray from running another segment in the same process.
            "runtime_env": {"env_vars": {"PYRAMID_SEGMENT": f"{segment.process}-{segment.first}"}},
        }
        if segment.first not in self._shares:
            return dataset.map_batches(
                partial(run_row, about),
                num_cpus=max(segment.resources.cpus, 0.01),
                compute=ray.data.TaskPoolStrategy(size=size),
                max_retries=retries,
                **({"max_calls": 1} if alone else {}),
                **common,
            )
        return dataset.map_batches(
            SegmentActor,
            fn_constructor_args=(about,),
            # A pool keeps at least one actor, so actors hold no CPU: else pools might leave none for the tasks.
            num_cpus=0,
            num_gpus=self._shares[segment.first],
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(size or units, units)),
            # A unit kills its actor once more than it is tried again, so this many restarts are never too few, and a
            # poison unit cannot go on for ever. A pool whose last actor is dead would never end.
            max_restarts=(retries + 1) * units + _INIT_DEATHS,
            max_task_retries=retries,
            **common,
        )

    def _set_context(self) -> None:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # A process that dies takes its unit with it and nothing else; `_explain` asks after the unit.
        context.max_errored_blocks = -1
        context.max_consecutive_actor_init_deaths = _INIT_DEATHS
        # Ray ends what has not moved for 30 minutes, which one unit may well take. Units have their own clock.
        context.execution_no_progress_timeout_s = 2 * self._job.policy.unit_timeout_s + _PATIENCE_S
