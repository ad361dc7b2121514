"""A small job in which everything may go wrong, and a driver for it in a process of its own, for tests that kill it.

    python -m pipelines.testing.chaos_job FOLDER '{"engine": "ray", "wild": {"fault": "kill", "seeds": [3]}}'

The JSON is a `Chaos`, and "resume": true to go on in place of beginning. Prints one JSON object at the end.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipelines.catalog import CATALOG
from pipelines.config import config_from
from pipelines.engines import ray_session
from pipelines.engines.options import EngineName, EngineOptions
from pipelines.job import Job, Policy
from pipelines.progress.job_counts import JobResult
from pipelines.run_job import resume, run_job
from pipelines.testing.tiny_jobs import STAGES, load_test_stages, tiny_job
from storage.errors import PyramidError

_HALF_MAY_FAIL = Policy(max_failed_fraction=0.5)


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """What goes wrong (`wild`, see `pipelines.testing.faulty_stage`) in which job on which engine."""

    wild: Mapping[str, Any] = field(default_factory=dict)
    units: int = 6
    items_per_unit: int = 2
    on_gpu: bool = False
    policy: Policy = _HALF_MAY_FAIL
    engine: EngineName = "local"
    workers: int | None = None
    address: str | None = None
    resume: bool = False
    pretended_gpus: int = 0

    def job(self) -> Job:
        """The job. Its episodes do not depend on what goes wrong."""
        wild = ("wild_gpu" if self.on_gpu else "wild", self.wild)
        return tiny_job(
            ("tiny_judge", {}), wild, units=self.units, items_per_unit=self.items_per_unit, policy=self.policy
        )

    def run(self, root: Path) -> tuple[JobResult, ...]:
        """Run it, or go on with it. Pretended GPUs are in Ray's books only."""
        if self.pretended_gpus:
            ray_session.PRETENDED["num_gpus"] = self.pretended_gpus
        options = EngineOptions(engine=self.engine, workers=self.workers, address=self.address)
        return resume(root, options=options) if self.resume else (run_job(root, self.job(), options),)


def load_chaos_stages() -> None:
    """The test stages, and `wild` once more as a stage that wants a GPU."""
    load_test_stages()
    row = STAGES["wild"]
    CATALOG["wild_gpu"] = replace(row, resources=replace(row.resources, gpus=0.5))


def main() -> None:
    root, chaos = Path(sys.argv[1]), config_from(Chaos, json.loads(sys.argv[2]))
    load_chaos_stages()
    try:
        said: Any = [_summary(result) for result in chaos.run(root)]
    except PyramidError as error:
        said = {"error": type(error).__name__, "message": str(error)}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.exit(isinstance(said, dict))


def _summary(result: JobResult) -> dict[str, Any]:
    names = ("unit_id", "error", "message", "attempts")
    letters = [{name: getattr(letter, name) for name in names} for letter in result.dead_letters]
    return {"kept": result.tally.kept, "committed": result.tally.committed_units, "dead_letters": letters}


if __name__ == "__main__":
    main()
