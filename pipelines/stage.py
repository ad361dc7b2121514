"""What a stage is: one callable, declared as one row in `pipelines/catalog.py`.

A stage is a pure function or a class that holds a model, a simulator or a connection. Called with the inputs of a
unit and the stage's randomness it returns one list of outcomes for each input, in order:

    class Smooth:
        def __init__(self, config: SmoothConfig) -> None: ...
        def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]: ...

A *source* stage takes the JSON items of the unit in place of episodes.

The law that everything else rests on: an outcome follows from its input, the config and `randomness.of(<a name that
the input carries>)`, and from nothing else: not from its neighbours in the unit, the order, the process or the clock.
Then a unit that is computed twice gives the same bytes, and one bad input can be taken out without touching the others.
Bad data is an outcome (`Dropped`) or an InputError; a broken world (disk, network, device) is raised and tried again.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, Literal, Protocol

from pipelines.config import config_from
from pipelines.former_names import current_name
from storage.errors import ConfigError, MissingFileError, PyramidError
from storage.ids import Randomness, content_id
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
    """One row of the catalog. `call` and `config` are "module:name", imported only where the stage runs. A call gets at
    most `at_once` inputs (0: all of the unit); between calls the run's progress is told."""

    call: str
    config: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    version: int = 1
    source: bool = False
    process: Process = "any"
    at_once: int = 0
    resources: Resources = Resources()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "reads": sorted(self.reads), "writes": sorted(self.writes)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Stage":
        """The inverse of `to_json`."""
        sets = {name: frozenset(record[name]) for name in ("reads", "writes")}
        names = {name: current_name(record[name]) for name in ("call", "config")}
        return cls(**{**record, **sets, **names, "resources": Resources(**record["resources"])})

    def make_config(self, settings: Mapping[str, Any]) -> Any:
        """The config dataclass of this stage, filled from `settings`; unknown keys raise ConfigError."""
        return config_from(resolve(self.config), settings)

    def make(self, settings: Mapping[str, Any]) -> StageCall:
        """The stage, loaded and ready to be called."""
        made: StageCall = resolve(self.call)(self.make_config(settings))
        return made


def resolve(reference: str) -> Any:
    """The object behind "package.module:name" or "/a/file.py:name"; raises ConfigError or MissingFileError."""
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ConfigError(f'a stage is named as "package.module:name" or "file.py:name"; got {reference!r}')
    module = load_file(Path(place)) if place.endswith(".py") else _module(place, reference)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(f"{place} has no {name!r} (wanted by {reference!r})") from None


def _module(place: str, reference: str) -> ModuleType:
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise ConfigError(f"there is no module {place!r} (wanted by {reference!r})") from None
        raise


def load_file(path: Path) -> ModuleType:
    """The module in a Python file, imported once in a process under a name of its own."""
    path = path.absolute()
    name = f"pyramid_user_{content_id(str(path.resolve()))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise MissingFileError(f"{path} is no Python file that can be read from here")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (PyramidError, KeyboardInterrupt):
        del sys.modules[name]
        raise
    except BaseException as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise ConfigError(f"{path}{where} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
