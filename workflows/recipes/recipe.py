"""Recipes: a YAML file that says what a run does, read into checked dataclasses.

    name: demo
    output: runs/demo
    seed: 7
    steps:
      - generate: {name: stack, task: stack, keep: 40}
      - import: {name: real, path: "${RECORDINGS}/g1_real_bottle", if_set: RECORDINGS}
      - report: {}

`${NAME}` and `${NAME:-default}` stand for environment variables. A step runs only when the variables in its `if_set`
are set and those in `if_unset` are not. Unknown keys are errors that name the nearest one.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipelines.config import config_from
from storage.errors import ConfigError, MissingFileError, UnknownNameError
from workflows.recipes.read_yaml import read_yaml
from workflows.steps import STEPS
from workflows.steps.step_kind import StepKind

SHIPPED = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a recipe: its kind, its checked settings and the settings as they were written."""

    kind: str
    config: Any
    as_written: Mapping[str, Any] = field(default_factory=dict)
    if_set: tuple[str, ...] = ()
    if_unset: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it: its kind, and its name or what it is of."""
        names = (getattr(self.config, name, "") for name in ("name", "kind", "layer", "task"))
        return f"{self.kind} {next(filter(None, names), '')}".rstrip()

    @property
    def wanted(self) -> bool:
        """Whether the variables that were `given`, or the environment, ask for this step."""
        values = {**os.environ, **self.given}
        return all(values.get(name) for name in self.if_set) and not any(values.get(name) for name in self.if_unset)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A checked recipe. `plugins` are Python files of stages, beside the recipe or from the current folder."""

    name: str
    output: str
    steps: tuple[Step, ...]
    seed: int = 0
    plugins: tuple[str, ...] = ()

    def resolved(self) -> dict[str, Any]:
        """The recipe with every default filled in; loading it again, in the same environment, gives the same run. What
        came from environment variables stays a reference to them: it may be a secret."""
        steps = [
            {step.kind: _with_references(asdict(step.config), step.as_written)} for step in self.steps if step.wanted
        ]
        plugins = list(self.plugins)
        return {"name": self.name, "output": self.output, "seed": self.seed, "plugins": plugins, "steps": steps}


@dataclass(frozen=True, kw_only=True)
class _Written:
    """The top level of a recipe file."""

    name: str
    steps: list[dict[str, dict[str, Any] | None]]
    output: str = ""
    seed: int = 0
    plugins: tuple[str, ...] = ()


def find_recipe(name: str) -> Path:
    """The file of a recipe: a path, or the name of a shipped one ("demo")."""
    for candidate in (Path(name), SHIPPED / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    raise MissingFileError(f"no recipe {name!r}: it is no file, and the shipped recipes are {', '.join(shipped)}")


def load_recipe(path: Path, *, output: str = "", variables: Mapping[str, str] | None = None) -> Recipe:
    """Read and check the recipe in `path`; `output` replaces its output folder. `variables` are put in before those of
    the environment."""
    raw = _with_given(read_yaml(path, what="recipe"), variables or {})
    written: _Written = config_from(_Written, _with_variables(raw, os.environ))
    steps = tuple(
        replace(_step(entry, as_written, where=f"{path}, step {number}"), given=variables or {})
        for number, (entry, as_written) in enumerate(zip(written.steps, raw["steps"], strict=True), start=1)
    )
    output = output or written.output or f"runs/{written.name}"
    plugins = tuple(_plugin(path.parent, plugin) for plugin in written.plugins)
    return Recipe(name=written.name, output=output, seed=written.seed, plugins=plugins, steps=steps)


def _plugin(folder: Path, plugin: str) -> str:
    """The file of stages that a recipe names: beside the recipe, or from here. Absolute, so that the resolved recipe
    runs from anywhere."""
    beside = folder / plugin
    return str((beside if beside.is_file() else Path(plugin)).absolute())


def _step(
    entry: Mapping[str, Mapping[str, Any] | None], as_written: Mapping[str, Mapping[str, Any] | None], *, where: str
) -> Step:
    if len(entry) != 1:
        raise ConfigError(f"{where}: a step is one key with its settings; got {sorted(entry) or 'nothing'}")
    ((kind, settings),) = entry.items()
    if kind not in STEPS:
        raise UnknownNameError.among(f"step (in {where})", kind, STEPS)
    chosen = dict(settings or {})
    if_set, if_unset = (_names(chosen.pop(key, ())) for key in ("if_set", "if_unset"))
    step: StepKind = STEPS[kind]
    try:
        config: Any = config_from(step.config, chosen)
    except ConfigError as error:
        raise ConfigError(f"{where} ({kind}): {error}") from error
    return Step(kind=kind, config=config, as_written=as_written[kind] or {}, if_set=if_set, if_unset=if_unset)


def _names(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def _with_given(value: Any, given: Mapping[str, str]) -> Any:
    """`value` with the variables of `given` put in; others stay as they are."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: given.get(match[1], match[0]), value)
    if isinstance(value, Mapping):
        return {key: _with_given(inner, given) for key, inner in value.items()}
    return [_with_given(inner, given) for inner in value] if isinstance(value, list) else value


def _with_references(plain: Any, as_written: Any) -> Any:
    """`plain` settings, with the text as it was written wherever that refers to a variable."""
    if isinstance(as_written, str) and _VARIABLE.search(as_written):
        return as_written
    if isinstance(plain, Mapping) and isinstance(as_written, Mapping):
        return {key: _with_references(inner, as_written.get(key)) for key, inner in plain.items()}
    if isinstance(plain, list | tuple) and isinstance(as_written, list):
        return type(plain)(_with_references(inner, written) for inner, written in zip(plain, as_written, strict=False))
    return plain


def _with_variables(value: Any, variables: Mapping[str, str]) -> Any:
    """`value` with `variables` put in; an unset one without a default becomes empty text."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: variables.get(match[1]) or (match[2] or ""), value)
    if isinstance(value, Mapping):
        return {key: _with_variables(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_variables(inner, variables) for inner in value]
    return value
