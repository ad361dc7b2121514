"""What a demonstration of a robomimic HDF5 file holds, found by looking at its data sets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, CorruptFileError, SchemaError
from storage.formats.import_item import ImportConfig

OURS = "pyramid"
"""Attribute and group under which our exports keep what robomimic has no place for."""

_ROBOSUITE_TYPE, _ROBOSUITE_RATE_HZ = 1, 20.0
_OWN_PLACE = frozenset({"actions", "states"})


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One camera of a demonstration: path of its images, (T, H, W, 3) uint8, below the demonstration."""

    key: str
    length: int
    height_px: int
    width_px: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """`foreign` maps an array name to its path, `restored` the same for arrays that our own export wrote; `left_out`
    are paths that have no place here; `ours` is what our own export noted, or {}."""

    length: int
    action_size: int
    cameras: Mapping[str, Camera]
    foreign: Mapping[str, str]
    restored: Mapping[str, str]
    has_states: bool
    left_out: tuple[str, ...]
    ours: Mapping[str, Any]


def contents_of(path: Path, demo: str, group: Any, cameras: tuple[str, ...] = ()) -> Contents:
    """The contents of `group`, with `cameras` only when they are named. Raises SchemaError without usable actions."""
    actions = group.get("actions")
    if not isinstance(actions, h5py.Dataset) or actions.ndim != 2 or len(actions) == 0:
        raise SchemaError(f"{path}, {demo}: expected actions of shape (steps, numbers); got {_shape(actions)}")
    ours = json_attribute(path, group, OURS)
    length = len(actions)
    found: dict[str, Camera] = {}
    foreign: dict[str, str] = {}
    restored: dict[str, str] = {}
    left_out: list[str] = []
    for key, data in _datasets(group):
        if key.startswith(f"{OURS}/"):
            restored[key.removeprefix(f"{OURS}/")] = key
        elif key in _OWN_PLACE or key in ours.get("filled", ()) or (ours and key == "obs/state"):
            continue
        elif _is_image(key, data):
            name = re.sub(r"[^A-Za-z0-9_.\-]", "_", key.removeprefix("obs/").removesuffix("_image"))
            if not cameras or name in cameras:
                found[name] = Camera(key=key, length=len(data), height_px=data.shape[1], width_px=data.shape[2])
        elif _is_foreign(key, data, length):
            foreign["foreign/" + re.sub(r"[^A-Za-z0-9_.\-]", "_", key.replace("/", "."))] = key
        else:
            left_out.append(key)
    if missing := set(cameras) - found.keys():
        raise ConfigError(f"{path}, {demo} has no cameras {sorted(missing)}; it has {sorted(found) or 'none'}")
    return Contents(
        length=length,
        action_size=actions.shape[1],
        cameras=found,
        foreign=foreign,
        restored=restored,
        has_states="states" in group,
        left_out=tuple(left_out),
        ours=ours,
    )


def _datasets(group: Any) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    group.visititems(lambda key, data: out.append((str(key), data)) if isinstance(data, h5py.Dataset) else None)
    return sorted(out, key=lambda pair: pair[0])


def _shape(data: Any) -> str:
    return f"shape {data.shape}" if isinstance(data, h5py.Dataset) else "none"


def _is_image(key: str, data: Any) -> bool:
    return bool(key.startswith("obs/") and data.ndim == 4 and data.shape[3] == 3 and data.dtype == np.uint8)


def _is_foreign(key: str, data: Any, length: int) -> bool:
    numeric = data.dtype.kind in "fiub" and data.ndim >= 1 and data.size > 0 and data.ndim <= 3
    return bool(numeric and len(data) == length and not key.startswith("next_obs/"))


def read_foreign(data: Any) -> NDArray[np.float64]:
    """A numeric data set (T, ...) as (T, D) float64, trailing dimensions flattened."""
    values = np.asarray(data[:], np.float64)
    return values.reshape(len(values), -1)


def json_attribute(path: Path, group: Any, name: str) -> dict[str, Any]:
    """The JSON object in attribute `name`, {} when there is none; raises CorruptFileError."""
    text = group.attrs.get(name)
    if text is None:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, TypeError) as error:
        raise CorruptFileError(f"{path}{group.name}: attribute {name} is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise CorruptFileError(
            f"{path}{group.name}: attribute {name} must be a JSON object; got {type(record).__name__}"
        )
    return record


def rate_of(path: Path, env_args: Mapping[str, Any], config: ImportConfig) -> float:
    """Steps a second: the environment's control frequency, else `config.rate_hz`, else robosuite's default of 20."""
    rate = env_args.get("env_kwargs", {}).get("control_freq")
    if isinstance(rate, int | float) and rate > 0:
        return float(rate)
    if config.rate_hz:
        return config.rate_hz
    if env_args.get("type") == _ROBOSUITE_TYPE:
        return _ROBOSUITE_RATE_HZ
    raise ConfigError(f"{path} does not tell its rate (env_args has no control_freq); give rate_hz")


def language_of(path: Path, file: Any, group: Any) -> str:
    """The instruction, where RoboCasa (ep_meta) or LIBERO (problem_info) put one."""
    meta = json_attribute(path, group, "ep_meta")
    problem = json_attribute(path, file["data"], "problem_info")
    return str(meta.get("lang") or problem.get("language_instruction") or "").strip()
