"""Demonstrations on disk: robomimic HDF5, ours and anyone's.

A file holds `data/demo_<n>` with `actions` (T, A) and `states` (T, 1 + nq + nv: time, positions, velocities before each
action), as robomimic writes them. Ours add, as attributes of a demonstration, what a state leaves out (`initial`, see
`snapshot`), the model variant, the placement and the seed, and as `datagen_info/subtask_term_signals` what the expert
knew.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.datagen_info import DatagenInfo, read_datagen_info
from generators.simulation.task.specification import Task
from storage.errors import CorruptFileError, MissingFileError, SchemaError

logger = logging.getLogger(__name__)

SOURCES_FOLDER = Path(__file__).parents[1] / "sources"
EXACT_STATES_BYTES = 500_000
"""Files with more than this of states keep only each first one exactly, so that the repository stays small."""


@dataclass(frozen=True, kw_only=True)
class RecordedDemonstration:
    """One demonstration as a file holds it. `signals` are the expert's own, each (T,) bool; `initial` is empty in
    files that were not written here; `rate_hz` is 0 where the file does not state it; `recorded` is what MimicGen's own
    annotation holds, where there is one."""

    name: str
    actions: NDArray[np.float32]
    states: NDArray[np.float64]
    signals: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    variant: int = 0
    placement: str = "D0"
    seed: int = 0
    rate_hz: float = 0.0
    recorded: DatagenInfo | None = None


def source_path(task: Task, given: str = "") -> Path:
    """The HDF5 file of a task's sources: the one given, or the one that the task names; raises MissingFileError."""
    if not (given or task.sources):
        raise MissingFileError(f"task {task.name!r} names no source file; give a robomimic HDF5")
    path = Path(given or str(task.sources))
    shipped = [] if task.file else [SOURCES_FOLDER / path]
    candidates = [path] if path.is_absolute() or given else [*shipped, *_beside(task, path), SOURCES_FOLDER / path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise MissingFileError(
        f"no source file {candidates[0]} for task {task.name!r}; collect one (`pyramid sim collect`) or give another"
    )


def collected_path(task: Task) -> Path:
    """Where demonstrations that are collected for a task go: the file that it names, beside the task's own file."""
    folder = task.file.parent if task.file else SOURCES_FOLDER
    return folder / (task.sources or f"{task.name}.hdf5")


def _beside(task: Task, path: Path) -> list[Path]:
    """The path beside the file that declares the task, then beside the one that its functions are in."""
    module = import_module(task.object_poses.__module__)
    files = [task.file, Path(module.__file__) if module.__file__ else None]
    return [file.parent / path for file in files if file]


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """What a file of demonstrations holds: those that are whole, and why each of the others was left out."""

    recordings: tuple[RecordedDemonstration, ...]
    left_out: Mapping[str, str]


def read_source_file(path: Path) -> SourceFile:
    """Every demonstration of a robomimic HDF5. One that is malformed is left out by name; raises CorruptFileError, and
    SchemaError where none is whole."""
    recordings, left_out = [], {}
    with _opened(path) as file:
        for name in sorted(file["data"], key=lambda name: int(name.rsplit("_", 1)[-1])):
            try:
                recordings.append(_read_one(file["data"][name], name, path, rate_hz=_rate_of(file["data"])))
            except SchemaError as error:
                left_out[name] = str(error)
    if not recordings:
        raise SchemaError(f"none of its {len(left_out)} demonstrations is whole; {next(iter(left_out.values()))}")
    return SourceFile(recordings=tuple(recordings), left_out=left_out)


def read_recordings(path: Path) -> list[RecordedDemonstration]:
    """The whole demonstrations of a robomimic HDF5; the others are named in a warning. Raises as `read_source_file`."""
    read = read_source_file(path)
    for reason in read.left_out.values():
        logger.warning("left out of the sources: %s", reason)
    return list(read.recordings)


def _rate_of(data: Any) -> float:
    """The control rate that a file's `env_args` state; 0 where they do not."""
    try:
        return float(json.loads(data.attrs.get("env_args", "{}")).get("env_kwargs", {}).get("control_freq", 0))
    except (ValueError, AttributeError):
        return 0.0


def count_recordings(path: Path) -> int:
    """How many demonstrations a file holds."""
    with _opened(path) as file:
        return len(file["data"])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise MissingFileError(f"no source file {path}; expected a robomimic HDF5")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise CorruptFileError(f"{path} is not a readable HDF5 file: {error}") from error
    with file:
        if "data" not in file or not len(file["data"]):
            raise SchemaError(f"{path} has no group data/ with demonstrations; expected a robomimic HDF5")
        yield file


def _read_one(group: Any, name: str, path: Path, *, rate_hz: float) -> RecordedDemonstration:
    for needed in ("actions", "states"):
        if needed not in group:
            raise SchemaError(f"{path}: {name} has no {needed}; it holds {sorted(group)}")
    actions, states = np.asarray(group["actions"], np.float32), np.asarray(group["states"], np.float64)
    if len(states) == len(actions) + 1:  # several recorders add the state after the last action
        states = states[:-1]
    if len(actions) != len(states) or not len(actions):
        raise SchemaError(
            f"{path}: {name} has {len(actions)} actions for {len(states)} states; expected as many, or one more state"
        )
    if not (np.isfinite(actions).all() and np.isfinite(states).all()):
        raise SchemaError(f"{path}: {name} holds NaN or infinity in its actions or states; drop that demonstration")
    signals = group.get("datagen_info/subtask_term_signals", {})
    attributes, ours = group.attrs, "initial" in group.attrs
    return RecordedDemonstration(
        name=name,
        actions=actions,
        states=states,
        signals={
            key: np.asarray(signals[key])[: len(actions)].reshape(len(actions), -1)[:, 0] > 0.5 for key in signals
        },
        initial=json.loads(attributes["initial"]) if ours else {},
        rate_hz=rate_hz,
        recorded=read_datagen_info(group, len(actions)),
        variant=int(attributes.get("variant", 0)),
        placement=str(attributes.get("placement", "D0")),
        seed=int(attributes.get("seed", 0)),
    )


def _signal(values: Any, length: int) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = np.asarray(values)[:length].reshape(length, -1)[:, 0] > 0.5
    return held


def write_recordings(path: Path, task: Task, recordings: Sequence[RecordedDemonstration]) -> None:
    """A robomimic HDF5 of `recordings`; robomimic's own tools read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = task.environment if isinstance(task.environment, str) else task.environment.__name__
    env_kwargs = {"robots": list(task.embodiment.robots), "control_freq": task.arguments.get("control_freq", 20)}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": named, "type": 1, "env_kwargs": env_kwargs})
        data.attrs["total"] = sum(len(one.actions) for one in recordings)
        data.attrs["task"], data.attrs["task_version"] = task.name, task.version
        exact = sum(one.states.nbytes for one in recordings) <= EXACT_STATES_BYTES
        data.attrs["states"] = "exact" if exact else "the first exact, later ones to three decimals"
        for one in recordings:
            _write_one(data.create_group(one.name), one if exact else replace(one, states=_thinned(one.states)))


def _thinned(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first state as it is; the later ones, which a replay does not need, to three decimals, so that they pack."""
    thin = states.round(3).astype(np.float32).astype(np.float64)
    thin[0] = states[0]
    return thin


def _write_one(group: Any, recording: RecordedDemonstration) -> None:
    group.attrs["num_samples"] = len(recording.actions)
    group.attrs["initial"] = json.dumps(recording.initial)
    group.attrs["variant"], group.attrs["placement"] = recording.variant, recording.placement
    group.attrs["seed"] = recording.seed
    for name, numbers in (("actions", recording.actions.astype(np.float64)), ("states", recording.states)):
        group.create_dataset(
            name, data=numbers, chunks=numbers.shape, compression="gzip", compression_opts=9, shuffle=True
        )
    for name, values in recording.signals.items():
        group.create_dataset(f"datagen_info/subtask_term_signals/{name}", data=values.astype(np.uint8))
