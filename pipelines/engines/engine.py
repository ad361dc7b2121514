"""What the engines have in common, and how one is started."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pipelines.engines.options import EngineOptions
from pipelines.job import PlannedJob
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit


class Engine(Protocol):
    """Attempts units. A unit that fails is a result too; only a broken world is raised."""

    def attempt(self, units: Sequence[WorkUnit], *, alone: bool) -> Generator[UnitResult, None, None]:
        """One attempt at each unit: one result for each, as they come. `alone`: one at a time, in fresh processes or
        stages. Closing the generator stops what has not begun."""
        ...

    def close(self) -> None:
        """Let go of processes and stages."""
        ...


def start_engine(root: Path, job: PlannedJob, options: EngineOptions) -> Engine:
    """The engine that `options` ask for, ready to work on units of `job`. Ray takes a second to import, so only who
    wants it pays."""
    if options.chosen == "local":
        from pipelines.engines.local import LocalEngine

        return LocalEngine(root, job)
    if options.chosen == "auto":
        from pipelines.engines.auto import AutoEngine

        in_ray = replace(options, engine="ray")
        say = options.progress.said if options.progress else (lambda text: None)
        return AutoEngine(root, job, start_ray=lambda: start_engine(root, job, in_ray), say=say)
    if options.address and options.address.startswith("ray://"):
        from pipelines.engines.ray_client import RayClientEngine

        return RayClientEngine(root, job, address=options.address, workers=options.workers)
    from pipelines.engines.ray_engine import RayEngine

    return RayEngine(root, job, address=options.address, workers=options.workers)
