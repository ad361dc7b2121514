"""What a stage is: one callable, declared as one row in `pipelines/catalog.py`.

A stage is a pure function or a class that holds a model, a simulator or a connection. Called with the inputs of a
unit and the stage's randomness it returns one list of outcomes for each input, in order:

    class Smooth:
        def __init__(self, config: SmoothConfig) -> None: ...
        def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]: ...

A *source* stage takes the JSON items of the unit in place of episodes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

from storage.ids import Randomness
from storage.outcomes import Outcome

Process = Literal["any", "simulation", "torch"]
"""The kind of process a stage runs in. MuJoCo and torch stay apart: together they cost 0.9 GB and may crash."""


class StageCall(Protocol):
    """A stage, made and ready."""

    def __call__(self, inputs: Sequence[Any], randomness: Randomness, /) -> list[list[Outcome]]: ...


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one copy of a stage needs. `gpu_memory_gb` is turned into a share of the card it lands on."""

    cpus: float = 1.0
    gpus: float = 0.0
    gpu_memory_gb: float = 0.0
    memory_gb: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the catalog. `call` and `config` are "module:name", imported only where the stage runs."""

    call: str
    config: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    version: int = 1
    source: bool = False
    process: Process = "any"
    resources: Resources = Resources()

    def make_config(self, settings: Mapping[str, Any]) -> Any:
        """The config dataclass of this stage, filled from `settings`; unknown keys raise ConfigError."""
        return config_from(resolve(self.config), settings)

    def make(self, settings: Mapping[str, Any]) -> StageCall:
        """The stage, loaded and ready to be called."""
        made: StageCall = resolve(self.call)(self.make_config(settings))
        return made


def resolve(reference: str) -> Callable[..., Any]:
    """The object behind "package.module:name"."""
    module, _, name = reference.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
