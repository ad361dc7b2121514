"""What a demonstration of a robomimic HDF5 file holds, found by looking at its data sets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, CorruptFileError, SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece, find_column
from storage.formats.robomimic.usual_state import usual_state
from storage.formats.streams.images import ImageLayout, image_layout
from storage.formats.untrusted.clean_names import clean_name, distinct
from storage.formats.untrusted.hdf5_tree import datasets_in, text_attribute
from storage.formats.untrusted.limits import check_array, check_image, check_steps

OURS = "pyramid"
"""Attribute and group under which our exports keep what robomimic has no place for."""

_ROBOSUITE_TYPE, _ROBOSUITE_RATE_HZ = 1, 20.0
_OWN_PLACE = frozenset({"actions", "states"})


@dataclass(frozen=True, kw_only=True)
class CameraImages:
    """One camera of a demonstration: path of its images below the demonstration, and how they lie."""

    key: str
    length: int
    layout: ImageLayout

    @property
    def size_px(self) -> tuple[int, int]:
        return self.layout.height_px, self.layout.width_px


@dataclass(frozen=True, kw_only=True)
class Contents:
    """`state` and `action` are the pieces of the vectors of bodies that are not ours. `foreign` maps an array name to
    its path, `restored` the same for arrays that our own export wrote; `left_out` maps a path to the reason; `widths`
    every numeric path to its numbers a step; `ours` is what our own export noted, or {}."""

    length: int
    state: tuple[Piece, ...]
    action: tuple[Piece, ...]
    cameras: Mapping[str, CameraImages]
    foreign: Mapping[str, str]
    restored: Mapping[str, str]
    widths: Mapping[str, int]
    has_states: bool
    left_out: Mapping[str, str]
    ours: Mapping[str, Any]

    def size(self, pieces: tuple[Piece, ...]) -> int:
        """How many numbers a vector of `pieces` has."""
        return sum((self.widths[p.column] if p.stop is None else p.stop) - p.start for p in pieces)


def contents_of(path: Path, demo: str, group: Any, config: ImportConfig) -> Contents:
    """The contents of `group`, with the cameras that `config` asks for. Raises SchemaError without usable actions."""
    where = f"{path}, {demo}"
    datasets = dict(datasets_in(where, group))
    ours = json_attribute(path, group, OURS)
    widths = {key: _width(data) for key, data in datasets.items() if _is_numeric(data)}
    action = _pieces(config.columns.action, widths, where) or (Piece(column="actions"),)
    actions = datasets.get(action[0].column)
    if actions is None or actions.ndim != 2 or len(actions) == 0 or action[0].column not in widths:
        raise SchemaError(f"{where}: expected actions of shape (steps, numbers); got {_shape(actions)}")
    length = len(actions)
    check_steps(where, length)
    steps = {key for key in widths if datasets[key].shape[0] == length}
    state = _pieces(config.columns.state, {key: widths[key] for key in sorted(steps)}, where) or usual_state(steps)
    sorted_in = _Sorted(length=length, config=config, ours=ours, flipped=_is_flipped(group, config, ours))
    for key, data in datasets.items():
        sorted_in.put(key, data)
    cameras = sorted_in.chosen(where)
    return Contents(
        length=length,
        state=state,
        action=action,
        cameras=cameras,
        foreign=sorted_in.foreign,
        restored=sorted_in.restored,
        widths=widths,
        has_states="states" in datasets and datasets["states"].ndim == 2,
        left_out=sorted_in.left_out,
        ours=ours,
    )


class _Sorted:
    """Every data set of a demonstration put where it belongs."""

    def __init__(self, *, length: int, config: ImportConfig, ours: Mapping[str, Any], flipped: bool) -> None:
        self._length, self._config, self._ours, self._flipped = length, config, ours, flipped
        self._options = {camera.column: camera.options for camera in (config.columns.cameras or {}).values()}
        self._names = {camera.column: name for name, camera in (config.columns.cameras or {}).items()}
        self.cameras: dict[str, CameraImages] = {}
        self.foreign: dict[str, str] = {}
        self.restored: dict[str, str] = {}
        self.left_out: dict[str, str] = {}

    def put(self, key: str, data: Any) -> None:
        """Sort in one data set; paths come in order, so that a name that is taken is taken the same way every time."""
        if key.startswith(f"{OURS}/"):
            self.restored[key.removeprefix(f"{OURS}/")] = key
        elif key in _OWN_PLACE or key in self._ours.get("filled", ()) or (self._ours and key == "obs/state"):
            return
        elif key.startswith("next_obs/"):
            self.left_out[key] = "the observation of the next step, which is there already"
        elif (layout := self._layout(key, data)) is not None:
            self._put_images(key, data, layout)
        elif not _is_numeric(data) or data.ndim > 3:
            self.left_out[key] = f"{data.dtype} of shape {data.shape}: no numbers for each step"
        elif data.shape[0] != self._length:
            self.left_out[key] = f"has {data.shape[0]} entries for {self._length} steps"
        else:
            self.foreign[distinct("foreign/" + clean_name(key.replace("/", ".")), self.foreign, key)] = key

    def chosen(self, where: str) -> dict[str, CameraImages]:
        """The cameras that were asked for; the others become left out."""
        wanted = self._config.cameras
        if missing := set(wanted) - self.cameras.keys():
            raise ConfigError(f"{where} has no cameras {sorted(missing)}; it has {sorted(self.cameras) or 'none'}")
        for name, camera in self.cameras.items():
            if wanted and name not in wanted:
                self.left_out[camera.key] = "not among the cameras that were asked for"
        return {name: camera for name, camera in self.cameras.items() if not wanted or name in wanted}

    def _layout(self, key: str, data: Any) -> ImageLayout | str | None:
        if not _is_numeric(data) or not (key.startswith("obs/") or key in self._names):
            return None
        shape = tuple(int(size) for size in data.shape)
        return image_layout(key, shape, data.dtype, lambda: data[:: max(1, len(data) // 2)], self._options.get(key, ()))

    def _put_images(self, key: str, data: Any, layout: ImageLayout | str) -> None:
        if isinstance(layout, str):
            self.left_out[key] = layout
            return
        check_image(key, layout.height_px, layout.width_px)
        if self._flipped and not layout.depth:
            layout = replace(layout, flipped=True)
        short = key.removeprefix("obs/").removesuffix("_image").removesuffix("_rgb")
        name = distinct(self._names.get(key) or clean_name(short.replace("/", ".")), self.cameras, key)
        self.cameras[name] = CameraImages(key=key, length=len(data), layout=layout)


def _is_flipped(group: Any, config: ImportConfig, ours: Mapping[str, Any]) -> bool:
    """Whether images are upside down: the user says so, or the file names OpenGL's convention (LIBERO)."""
    convention = text_attribute(group.parent, "macros_image_convention").lower()
    return config.flip_images or (not ours and convention == "opengl")


def _pieces(mapped: tuple[Piece, ...], widths: Mapping[str, int], where: str) -> tuple[Piece, ...]:
    pieces = []
    for piece in mapped:
        column = find_column(piece.column, widths, where)
        if piece.start >= (widths[column] if piece.stop is None else piece.stop) or (piece.stop or 0) > widths[column]:
            raise SchemaError(
                f"{where}: the mapping asks for {column}[{piece.start}:{piece.stop}]; it has {widths[column]}"
            )
        pieces.append(replace(piece, column=column))
    return tuple(pieces)


def _shape(data: Any) -> str:
    return f"shape {data.shape}" if isinstance(data, h5py.Dataset) else "none"


def _is_numeric(data: Any) -> bool:
    dtype = data.dtype
    return bool(isinstance(dtype, np.dtype) and dtype.kind in "fiub" and data.ndim >= 1 and data.size)


def _width(data: Any) -> int:
    return int(np.prod(data.shape[1:], dtype=np.int64))


def read_foreign(data: Any) -> NDArray[np.float64]:
    """A numeric data set (T, ...) as (T, D) float64, trailing dimensions flattened."""
    check_array(str(data.name), tuple(data.shape), 8)
    values = np.asarray(data[:], np.float64)
    return values.reshape(len(values), -1)


def json_attribute(path: Path, group: Any, name: str) -> dict[str, Any]:
    """The JSON object in attribute `name`, {} when there is none; raises CorruptFileError."""
    text = group.attrs.get(name)
    if text is None:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"{path}{group.name}: attribute {name} is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise CorruptFileError(
            f"{path}{group.name}: attribute {name} must be a JSON object; got {type(record).__name__}"
        )
    return record


def rate_of(path: Path, env_args: Mapping[str, Any], config: ImportConfig) -> float:
    """Steps a second: the environment's control frequency, else `config.rate_hz`, else robosuite's default of 20."""
    kwargs = env_args.get("env_kwargs")
    rate = kwargs.get("control_freq") if isinstance(kwargs, Mapping) else None
    if isinstance(rate, int | float) and 0 < rate < 1e6:
        return float(rate)
    if config.columns.rate_hz or config.rate_hz:
        return config.columns.rate_hz or config.rate_hz
    simulator = env_args.get("sim_args")
    if isinstance(simulator, Mapping) and (step_s := _positive(simulator.get("dt"))):
        return round(1 / (step_s * (_positive(simulator.get("decimation")) or 1.0)), 6)
    if env_args.get("type") == _ROBOSUITE_TYPE:
        return _ROBOSUITE_RATE_HZ
    raise ConfigError(
        f"{path} does not tell its rate (env_args has no control_freq); give --rate-hz (rate_hz in a recipe)"
    )


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


def env_args_of(path: Path, file: Any) -> dict[str, Any]:
    """robomimic's description of the environment, or what a raw recording of robosuite (`env`, `env_info`) says."""
    data = file["data"]
    if "env_args" in data.attrs or "env" not in data.attrs:
        return json_attribute(path, data, "env_args")
    kwargs = json_attribute(path, data, "env_info")
    version = text_attribute(data, "repository_version")
    return {
        "env_name": text_attribute(data, "env"),
        "type": _ROBOSUITE_TYPE,
        "env_version": version,
        "env_kwargs": kwargs,
    }


def language_of(path: Path, file: Any, group: Any) -> str:
    """The instruction, where RoboCasa (ep_meta) or LIBERO (problem_info) put one."""
    meta = json_attribute(path, group, "ep_meta")
    problem = json_attribute(path, file["data"], "problem_info")
    return str(meta.get("lang") or problem.get("language_instruction") or "").strip()
