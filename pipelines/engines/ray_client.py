"""The Ray engine at the far end of a "ray://" address.

Ray Data does not work through Ray's client, so the engine runs in an actor on the cluster and only results come over.
The data set's folder must lie at the same path here and there.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import ray

from pipelines.engines.fused_stages import segments_of
from pipelines.engines.ray_engine import RayEngine
from pipelines.engines.ray_session import RaySession
from pipelines.job import PlannedJob
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit
from storage.errors import PyramidError, WorldError
from storage.ids import canonical_json


class EngineHost:
    """A `RayEngine` on the cluster, asked for one result after the other."""

    def __init__(self, root: str, job: str, workers: int | None) -> None:
        planned = PlannedJob.from_json(json.loads(job))
        self._engine = RayEngine(Path(root), planned, address=None, workers=workers)
        self._results: Iterator[UnitResult] = iter(())

    def begin(self, units: list[str], alone: bool) -> None:
        self._results = self._engine.attempt([WorkUnit.from_text(unit) for unit in units], alone=alone)

    def next_result(self) -> str | None:
        result = next(self._results, None)
        return result.to_text() if result is not None else None

    def close(self) -> None:
        self._engine.close()


class RayClientEngine:
    """Runs the stages of `job` on the cluster behind a "ray://" address."""

    def __init__(self, root: Path, job: PlannedJob, *, address: str, workers: int | None) -> None:
        self._about = (str(root), canonical_json(job.to_json()), workers)
        RaySession(address=address, workers=workers, segments=segments_of(job.stages))
        self._host: Any = None
        self._processes_died = False

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        if self._processes_died:
            self._drop_host()
            self._processes_died = False
        if self._host is None:
            self._host = ray.remote(num_cpus=0)(EngineHost).remote(*self._about)
        host = self._host
        try:
            _answer(host.begin.remote([unit.to_text() for unit in units], alone))
            while (text := _answer(host.next_result.remote())) is not None:
                result = UnitResult.from_text(text)
                self._processes_died |= result.failure is not None and result.failure.kind == "process"
                yield result
        except GeneratorExit:
            self._drop_host()
            raise

    def close(self) -> None:
        if self._host is not None:
            _answer(self._host.close.remote())
            self._drop_host()

    def _drop_host(self) -> None:
        """The host and, as it is their owner, every process that it started."""
        host, self._host = self._host, None
        if host is not None:
            ray.kill(host)


def _answer(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        _raise_cause(error)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise WorldError(f"the cluster does not answer; what is committed stays, resume later: {error}") from error


def _raise_cause(error: ray.exceptions.RayTaskError) -> NoReturn:
    cause = getattr(error, "cause", None)
    if isinstance(cause, PyramidError):
        raise cause from None
    raise WorldError(f"the engine failed on the cluster: {error}") from error
