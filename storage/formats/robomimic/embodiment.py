"""Which embodiment the actions of a robomimic file belong to: from the robots and controllers of its environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.embodiment import EMBODIMENTS, Embodiment, Layout, Part
from storage.errors import SchemaError
from storage.formats.derived_embodiment import derived_name, guess_part
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.robomimic.contents import Contents
from storage.formats.robomimic.robosuite_state import is_readable

_ISAAC_LAB = 2
_BODIES = {("panda",): "panda", ("panda", "panda"): "two_pandas"}
OUR_BODIES = frozenset(_BODIES.values())
"""Bodies whose state is read from robosuite's keys in our own layout."""


def embodiment_of(
    path: Path, env_args: Mapping[str, Any], ours: Mapping[str, Any], contents: Contents, config: ImportConfig
) -> Embodiment:
    """The embodiment named in `config`, known or new, noted by our own export, known by its robots, or derived from
    them.

    A derived or new one is only described, not registered. Raises SchemaError when the named one has other actions.
    """
    action_size = contents.size(contents.action)
    if config.embodiment in EMBODIMENTS:
        named = EMBODIMENTS[config.embodiment]
        if named.action.size and named.action.size != action_size:
            raise SchemaError(
                f"{path}: its actions have {action_size} numbers, those of embodiment {named.name!r} have "
                f"{named.action.size}; name another embodiment, a new one, or none to have one derived"
            )
        return named
    for record in ours.get("embodiments", {}).values() if not config.embodiment else ():
        return Embodiment.from_json(record)
    robots = _robots(env_args)
    known = EMBODIMENTS.get(_BODIES.get(tuple(robots), ""))
    absolute = _is_absolute(env_args)
    fits = known is not None and known.action.size == action_size and not absolute and not config.embodiment
    if known and fits and not config.columns.state and (_has_our_keys(known, contents) or not contents.state):
        return known
    return _derived(env_args, contents, config.embodiment, absolute=absolute)


def _has_our_keys(known: Embodiment, contents: Contents) -> bool:
    keys = {key.removeprefix("obs/"): key for key in contents.widths}
    return "state" in keys or is_readable(known, keys)


def _derived(env_args: Mapping[str, Any], contents: Contents, name: str, *, absolute: bool) -> Embodiment:
    robots = _robots(env_args)
    # Isaac Lab writes its files as environments of type 2.
    robot = "_".join(robots) or ("isaac_lab" if env_args.get("type") == _ISAAC_LAB else "robomimic")
    state = Layout(parts=tuple(_part(contents, piece) for piece in contents.state))
    mapped = [_part(contents, piece) for piece in contents.action]
    whole = Part(name="vector", size=contents.size(contents.action), quantity="joint", unit="1")
    action = Layout(parts=tuple(mapped) if len(mapped) > 1 else (whole,))
    return Embodiment(
        name=name or derived_name(f"{robot}_absolute" if absolute else robot, state, action),
        description=f"Derived from a robomimic file of robots {robots or 'unknown'}; units are unknown",
        state=state,
        action=action,
    )


def _part(contents: Contents, piece: Piece) -> Part:
    name = piece.column.removeprefix("obs/").replace("/", "_").replace(".", "_")
    return guess_part(
        name if not piece.start else f"{name}_{piece.start}", contents.size((piece,)), quaternion=piece.xyzw
    )


def _robots(env_args: Mapping[str, Any]) -> list[str]:
    kwargs = env_args.get("env_kwargs")
    robots = kwargs.get("robots", []) if isinstance(kwargs, Mapping) else []
    return [str(robot).lower() for robot in ([robots] if isinstance(robots, str) else robots or [])]


def _is_absolute(env_args: Mapping[str, Any]) -> bool:
    """Whether a controller takes absolute poses, where our Pandas take deltas: the numbers are as many."""
    return any(
        part.get("control_delta") is False or part.get("input_type") == "absolute"
        for part in _controllers(env_args.get("env_kwargs"))
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
