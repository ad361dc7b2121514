"""Where and how a run works: handed to every step, and to the commands that start single jobs."""

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.engines.engine import EngineName
from pipelines.job import Job
from pipelines.job_counts import JobResult
from pipelines.progress import Progress, Silent
from pipelines.run_job import run_job
from storage.datasets.dataset import Dataset
from storage.embodiment import Embodiment


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The data set that a run writes into, the engine that its jobs run on, and its seed."""

    root: Path
    seed: int = 0
    engine: EngineName = "local"
    address: str | None = None
    workers: int | None = None
    progress: Progress = field(default_factory=Silent)

    def run(self, job: Job) -> JobResult:
        """Run one job to its end in the run's data set; what is committed already is not done again."""
        return run_job(
            self.root,
            job,
            engine=self.engine,
            address=self.address,
            workers=self.workers,
            progress=self.progress,
        )

    def dataset(self, *embodiments: Embodiment) -> Dataset:
        """The run's data set, made when missing, with `embodiments` declared in it."""
        dataset = Dataset.create_or_open(self.root, name=self.root.name)
        if embodiments:
            dataset.declare(*embodiments)
        return dataset
