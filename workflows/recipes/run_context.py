"""Where and how a run works: handed to every step, and to the commands that start single jobs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.engines.options import EngineOptions

if TYPE_CHECKING:
    from storage.datasets.dataset import Dataset


def from_anywhere(path: str) -> str:
    """`path`, absolute where it names something that is there (perhaps with ":name" after it), so that a job that names
    it can be resumed from any folder. Other texts stay as they are."""
    file, colon, name = path.partition(":")
    return f"{Path(file).absolute()}{colon}{name}" if path and Path(file).exists() else path


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The data set that a run writes into, the run's seed, and what its jobs are run with."""

    root: Path
    seed: int = 0
    options: EngineOptions = field(default_factory=EngineOptions)

    def dataset(self) -> "Dataset":
        """The run's data set, made when missing."""
        from storage.datasets.dataset import Dataset

        return Dataset.create_or_open(self.root, name=self.root.name)
