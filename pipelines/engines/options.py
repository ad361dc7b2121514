"""With what a job is run: chosen once, on the command line or by a program, and handed down as it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from storage.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.progress.listener import Progress

EngineName = Literal["auto", "local", "ray"]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """The engine of a run and what it is told. Nothing here changes what comes out.

    "local" is one process here, "ray" is Ray workers, "auto" begins here and moves to Ray when that pays.

    `address` ("auto", "host:port", "ray://...": a cluster; None: one of its own on this machine) and `workers`
    (processes at a time) are the Ray engine's. `progress` listens to the run.
    """

    engine: EngineName = "local"
    address: str | None = None
    workers: int | None = None
    progress: "Progress | None" = None

    def __post_init__(self) -> None:
        if self.engine not in ("auto", "local", "ray"):
            raise ConfigError(f"engine is auto, local or ray; got {self.engine!r}")
        if self.engine == "local" and (self.address or self.workers not in (None, 1)):
            raise ConfigError(
                f"the local engine is one process on this machine; for workers={self.workers} and"
                f" address={self.address} take engine ray"
            )
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1; got {self.workers}")

    @property
    def chosen(self) -> EngineName:
        """The engine, where the rest of the options leaves no choice: a cluster or several workers are Ray's."""
        if self.engine != "auto":
            return self.engine
        return "ray" if self.address or (self.workers or 1) > 1 else "local" if self.workers == 1 else "auto"
