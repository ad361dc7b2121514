"""Settings in, checked config out: a mapping (of a recipe, a flag, a plan) becomes a frozen dataclass.

Values are taken as JSON and checked strictly: a list becomes a tuple, a whole number a float and text a path, but "3"
is no number. A field declared with `metadata={"identity": False}` (a device, a number of threads, where a folder lies)
does not change what comes out, so it does not enter the ids of units. A config that names files (a model's weights)
says by `inputs()` what is in them, name -> content hash: that enters the ids, where the files lie does not.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args, get_type_hints, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from storage.errors import ConfigError, UnknownNameError
from storage.ids import canonical_json

Config = TypeVar("Config")
_LONGEST_VALUE = 60
_FILES = frozenset({"model", "lora"})
"""Settings that may name a file or a folder, in whatever stage."""
_SHIPPED = frozenset({"", "starter", "none"})


@runtime_checkable
class NamesFiles(Protocol):
    """A config whose outcome depends on the content of files."""

    def inputs(self) -> Mapping[str, str]:
        """What the files hold, name -> content hash; raises MissingFileError."""


def config_from(kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """The config dataclass `kind` filled from `settings`.

    Raises ConfigError: for an unknown key with the nearest one, for a wrong value with what was expected and what came.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"settings of {_name(kind)} must be a mapping; got {_shown(settings)}")
    _check_keys(kind, settings, "")
    try:
        text = json.dumps(settings, default=_as_json)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings of {_name(kind)} must be JSON values: {error}") from error
    try:
        made: Config = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise ConfigError(f"settings of {_name(kind)}: " + "; ".join(_problems(error))) from error
    return made


def settings_of(config: Any) -> dict[str, Any]:
    """Everything a config dataclass says, defaults too, as JSON values; `config_from` takes it back."""
    plain: dict[str, Any] = json.loads(canonical_json(asdict(config)))
    return plain


def from_anywhere(settings: Any) -> Any:
    """`settings` with absolute paths where "model" or "lora" names a file or folder that is there, inside mappings too,
    so that the job goes on from any folder. The name of a model on a server, and names of shipped ones, stay."""
    if isinstance(settings, list):
        return [from_anywhere(each) for each in settings]
    if not isinstance(settings, Mapping):
        return settings
    served = isinstance(server := settings.get("server"), Mapping) and bool(server.get("url"))
    return {
        key: str(Path(value).absolute())
        if key in _FILES and not served and isinstance(value, str) and value not in _SHIPPED and Path(value).exists()
        else from_anywhere(value)
        for key, value in settings.items()
    }


def identity_of(config: Any) -> dict[str, Any]:
    """The part of a config that decides what comes out; see the top of this file. Raises MissingFileError."""
    identity: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if each.metadata.get("identity", True):
            identity[each.name] = identity_of(value) if is_dataclass(value) else value
    if isinstance(config, NamesFiles):
        identity["inputs()"] = config.inputs()
    plain: dict[str, Any] = json.loads(canonical_json(identity))
    return plain


def _name(kind: Any) -> str:
    return str(kind.__name__).lstrip("_")


def _as_json(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _check_keys(kind: Any, settings: Any, place: str) -> None:
    """Unknown keys, also those inside nested dataclasses and lists of them."""
    if isinstance(settings, list | tuple):
        for inner in settings:
            _check_keys(kind, inner, place)
    dataclasses = [one for one in _alternatives(kind) if is_dataclass(one)]
    if not isinstance(settings, Mapping) or len(dataclasses) != 1:
        return
    (inner_kind,) = dataclasses
    hints = get_type_hints(inner_kind)
    known = [each.name for each in fields(inner_kind) if each.init]
    for key, value in settings.items():
        if key not in known:
            where = f"key of {_name(inner_kind)}" + (f" (in {place})" if place else "")
            raise ConfigError(str(UnknownNameError.among(where, str(key), known)))
        _check_keys(hints[key], value, f"{place}.{key}".lstrip("."))


def _alternatives(kind: Any) -> Iterator[Any]:
    """A type and every type inside it: of a union, of the items of a tuple, list or mapping."""
    yield kind
    for inner in get_args(kind):
        yield from _alternatives(inner)


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            yield f"{place} is needed and was not given"
        elif problem["type"] == "value_error":
            # The dataclass refused it itself, in its own words.
            yield str(problem["ctx"]["error"])
        else:
            expected = problem["msg"].removeprefix("Input should be ")
            yield f"{place or 'value'}: expected {expected}; got {_shown(problem['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
