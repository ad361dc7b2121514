"""Which embodiment the actions of a robomimic file belong to: from the robots and controllers of its environment."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.embodiment import EMBODIMENTS, Embodiment, Layout, Part, embodiment
from storage.errors import SchemaError
from storage.formats.import_item import ImportConfig

_BODIES = {("panda",): "panda", ("panda", "panda"): "two_pandas"}


def body_of(
    path: Path, env_args: Mapping[str, Any], ours: Mapping[str, Any], action_size: int, config: ImportConfig
) -> Embodiment:
    """The embodiment named in `config`, noted by our own export, known by its robots, or derived from them.

    A derived one is only described, not registered. Raises SchemaError when the named one has other actions.
    """
    if config.embodiment:
        named = embodiment(config.embodiment)
        if named.action.size and named.action.size != action_size:
            raise SchemaError(
                f"{path}: its actions have {action_size} numbers, those of embodiment {named.name!r} have "
                f"{named.action.size}; name another embodiment, or none to have one derived"
            )
        return named
    for record in ours.get("embodiments", {}).values():
        return Embodiment.from_json(record)
    robots = _robots(env_args)
    known = EMBODIMENTS.get(_BODIES.get(tuple(robots), ""))
    absolute = _is_absolute(env_args)
    if known and known.action.size == action_size and not absolute:
        return known
    name = re.sub(r"[^a-z0-9]+", "_", "_".join(robots)) or "robomimic"
    return Embodiment(
        name=f"{name}_{'absolute_' if absolute else ''}{action_size}",
        description=f"Derived from a robomimic file of robots {robots or 'unknown'}; units are unknown",
        action=Layout(parts=(Part(name="vector", size=action_size, quantity="joint", unit="1"),)),
    )


def _robots(env_args: Mapping[str, Any]) -> list[str]:
    robots = env_args.get("env_kwargs", {}).get("robots", [])
    return [str(robot).lower() for robot in ([robots] if isinstance(robots, str) else robots)]


def _is_absolute(env_args: Mapping[str, Any]) -> bool:
    """Whether a controller takes absolute poses, where our Pandas take deltas: the numbers are as many."""
    return any(
        part.get("control_delta") is False or part.get("input_type") == "absolute"
        for part in _controllers(env_args.get("env_kwargs", {}).get("controller_configs"))
    )


def _controllers(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every controller configuration in the settings of a robosuite 1.4 or 1.5 environment."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _controllers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _controllers(inner)
