"""Finding tasks: those that ship, those of installed packages, and those of one Python file."""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from generators.simulation import check_graphics
from generators.simulation.task.specification import Task
from storage.errors import ConfigError, MissingFileError, UnknownNameError
from storage.ids import file_hash

MODULES: tuple[str, ...] = (
    "generators.simulation.tasks.lift",
    "generators.simulation.tasks.stack",
    "generators.simulation.tasks.pick_cube",
    "generators.simulation.tasks.two_arm_lift",
    "generators.simulation.tasks.two_arm_handover",
    "generators.simulation.tasks.two_arm_transport",
    "generators.simulation.tasks.two_arm_peg_in_hole",
    "generators.simulation.tasks.tray_lift",
    "generators.simulation.tasks.drawer_cleanup",
    "generators.simulation.tasks.tabletop",
    "generators.simulation.tasks.tabletop_two_hands",
)
"""Modules that ship, each with `TASKS`, a tuple of tasks."""

ENTRY_POINT_GROUP = "pyramid.tasks"
"""Installed packages name theirs in this entry point group: a module with `TASKS`."""


@cache
def tasks() -> dict[str, Task]:
    """Every known task by name; raises ConfigError when two share one, GraphicsError when MuJoCo cannot load."""
    check_graphics()
    by_name: dict[str, Task] = {}
    installed = [entry.value.partition(":")[0] for entry in entry_points(group=ENTRY_POINT_GROUP)]
    for name in (*MODULES, *installed):
        module = import_module(name)
        file = Path(str(module.__file__)) if name in installed else None
        for one in declared_in(module, where=name):
            one = replace(one, file=file)
            if by_name.setdefault(one.name, one) is not one:
                raise ConfigError(f"two tasks are called {one.name!r}; one of them is in {name}: rename it")
    return by_name


def find_task(reference: str) -> Task:
    """The task called `reference`, or the one in the Python file of that path ("file.py" or "file.py:name").

    Raises UnknownNameError or MissingFileError.
    """
    check_graphics()
    path, _, name = reference.partition(":")
    if path.endswith(".py"):
        return _task_in_file(Path(path), name)
    known = tasks()
    if reference in known:
        return known[reference]
    raise UnknownNameError.among("task", reference, known, hint="(or give the path of a Python file that declares one)")


def declared_in(module: ModuleType, *, where: str) -> Iterable[Task]:
    """The tasks of a module: its `TASKS`."""
    declared = getattr(module, "TASKS", None)
    if not isinstance(declared, tuple | list) or not all(isinstance(one, Task) for one in declared):
        raise ConfigError(
            f"{where} must hold TASKS, a tuple of generators.simulation.task.specification.Task; got {type(declared)}"
        )
    return declared


def _task_in_file(path: Path, name: str) -> Task:
    if not path.is_file():
        raise MissingFileError(f"no task file {path}; expected a Python file that holds TASKS")
    path = path.resolve()
    module = _module_of(path, file_hash(path))
    declared = {one.name: replace(one, file=path) for one in declared_in(module, where=str(path))}
    if name:
        if name not in declared:
            raise UnknownNameError.among(f"task in {path}", name, declared)
        return declared[name]
    if len(declared) != 1:
        raise ConfigError(f"{path} declares {sorted(declared)}; say which one as {path}:NAME")
    return next(iter(declared.values()))


@cache
def _module_of(path: Path, content: str) -> ModuleType:
    """A Python file of that content hash as a module under a name of its own, so that "module:Class" references to it
    work too. Modules beside the file can be imported from it."""
    name = f"pyramid_task_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError) as error:
        del sys.modules[name]
        raise ConfigError(f"the task file {path} does not load: {type(error).__name__}: {error}") from error
    return module
