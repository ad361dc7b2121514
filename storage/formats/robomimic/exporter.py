"""Exporting robomimic HDF5: one file for each kind of episodes, streamed demonstration by demonstration.

`actions` are float64 (of our float32 values, exactly), `states` are the simulator's, images lie under
obs/<camera>_image. What robomimic has no place for is kept under `pyramid/` and in the attribute `pyramid` of each
demonstration. Rewards and dones that nobody recorded are filled in (0, and 1 at the last step), because robomimic's
loaders insist on them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.embodiment import embodiment_named
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.formats.export_groups import Kind, write_groups
from storage.formats.export_report import ExportReport, Progress, about, colour_cameras, group_key
from storage.formats.robomimic.contents import OURS
from storage.formats.robomimic.forgiving_file import ForgivingFile
from storage.formats.robomimic.mjcf_file import read_model_file
from storage.formats.robomimic.robosuite_state import split_state
from storage.frames import Frames
from storage.ids import canonical_json

_OWN_PLACE = frozenset({"action/ground_truth", "simulation/state", "state"})


@dataclass(frozen=True, kw_only=True)
class RobomimicExport:
    """Settings of an export. `cameras` chooses (empty: all); `compression` "gzip" makes images of plain scenes several
    times smaller and ten times slower to read. With `predicted_as_action` episodes that have only predicted actions
    are exported with those."""

    cameras: tuple[str, ...] = ()
    compression: Literal["", "gzip"] = ""
    predicted_as_action: bool = False


def export_robomimic(
    episodes: Iterable[Episode],
    target: Path,
    config: RobomimicExport | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write `episodes` as the file `target`, or, when they are of several kinds (embodiment, rate, cameras, arrays,
    environment), as one file for each kind in a folder of that name without its suffix.

    Nothing is there before everything is. Raises AlreadyWrittenError when the target exists, ConfigError for an episode
    without actions.
    """
    config = config or RobomimicExport()
    target = target if target.suffix else target.with_suffix(".hdf5")
    left_out: dict[str, int] = {}

    def kind_of(episode: Episode) -> Kind:
        cameras = colour_cameras(episode, config.cameras, left_out)
        for name in episode.provenance.get("imported", {}).get("annotations", {}):
            left_out[f"text over time {name}"] = left_out.get(f"text over time {name}", 0) + 1
        env_args = _env_args(episode)
        begin = partial(_File, first=episode, env_args=env_args, config=config)
        return Kind(key=group_key(episode, cameras, env_args), cameras=cameras, begin=begin)

    return write_groups(episodes, target, kind_of, left_out=left_out, suffix=target.suffix, progress=progress)


def _env_args(episode: Episode) -> dict[str, Any]:
    """robomimic's description of the environment: as the episode's provenance has it, or its rate alone."""
    known: Mapping[str, Any] = episode.provenance.get("env_args", {})
    kwargs = {"control_freq": episode.rate_hz, **known.get("env_kwargs", {})}
    return {"env_name": "", **known, "env_kwargs": kwargs}


class _File:
    """One robomimic file in the making."""

    def __init__(self, path: Path, first: Episode, env_args: Mapping[str, Any], config: RobomimicExport) -> None:
        self.path = path
        self._config = config
        self._steps = self._count = 0
        self._masks: dict[str, list[str]] = {}
        self._disk = ForgivingFile(path)
        self._file = h5py.File(self._disk, "w")
        self._data = self._file.create_group("data")
        self._data.attrs["env_args"] = json.dumps(env_args)
        embodiment = embodiment_named(first.embodiment)
        self._data.attrs[OURS] = canonical_json({"version": 1, "embodiments": {embodiment.name: embodiment.to_json()}})

    def add(self, episode: Episode, cameras: Mapping[str, Frames]) -> None:
        """Write one more demonstration."""
        name = f"demo_{self._count}"
        group = self._data.create_group(name)
        filled = self._write_arrays(group, episode)
        for camera, frames in cameras.items():
            self._write_images(group, camera, frames)
        group.attrs["num_samples"] = episode.length
        group.attrs[OURS] = canonical_json({**about(episode), "filled": filled})
        if episode.instruction:
            group.attrs["ep_meta"] = json.dumps({"lang": episode.instruction})
        model = _model_text(episode)
        if model:
            group.attrs["model_file"] = model
        for mask in episode.provenance.get("imported", {}).get("masks", ()):
            self._masks.setdefault(str(mask), []).append(name)
        self._count += 1
        self._steps += episode.length
        self._disk.check()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()
        self._disk.close()

    def finish(self) -> None:
        """Write the totals and masks, and close the file; raises the first OSError of any write."""
        with self._disk:
            self._write_totals()
            self._file.close()
            self._disk.check()

    def _write_totals(self) -> None:
        self._data.attrs["total"] = self._steps
        for mask, demos in self._masks.items():
            self._file.create_dataset(f"mask/{mask}", data=np.array(demos, dtype="S"))

    def _write_arrays(self, group: Any, episode: Episode) -> list[str]:
        """Every array in its place; returns the data sets that follow from others or were made up."""
        arrays = episode.arrays
        actions = arrays.get("action/ground_truth")
        filled = []
        if actions is None and self._config.predicted_as_action:
            actions = arrays.get("action/predicted")
            filled.append("actions")
        if actions is None:
            raise ConfigError(
                f"episode {episode.episode_id!r} has no ground-truth actions, which robomimic needs; leave it out or "
                "export to lerobot"
            )
        group["actions"] = actions.astype(np.float64)
        if "simulation/state" in arrays:
            group["states"] = arrays["simulation/state"]
        layouts = episode.provenance.get("imported", {}).get("foreign", {})
        for name, array in arrays.items():
            if name.startswith("foreign/"):
                _write_foreign(group, name, array, layouts.get(name, {}))
            elif name not in _OWN_PLACE:
                group[f"{OURS}/{name}"] = array
        made_up: dict[str, NDArray[Any]] = {}
        if "state" in arrays:
            if "obs/state" not in group:
                group["obs/state"] = arrays["state"]
            parts = split_state(embodiment_named(episode.embodiment), arrays["state"])
            made_up = {f"obs/{key}": values for key, values in parts.items()}
        made_up |= {"rewards": np.zeros(episode.length), "dones": (np.arange(episode.length) == episode.length - 1) * 1}
        for key, values in made_up.items():
            if key not in group:
                group[key] = values
                filled.append(key)
        return filled

    def _write_images(self, group: Any, camera: str, frames: Frames) -> None:
        shape = (len(frames), frames.height_px, frames.width_px, 3)
        options = {"chunks": (1, *shape[1:]), "compression": "gzip"} if self._config.compression else {}
        data = group.create_dataset(f"obs/{camera}_image", shape=shape, dtype=np.uint8, **options)
        for index in range(len(frames)):
            data[index] = frames.decode([index])[0]
            self._disk.check()


def _write_foreign(group: Any, name: str, array: NDArray[Any], layout: Mapping[str, Any]) -> None:
    """A foreign array under the path, dtype and shape that it was imported from, where that is known."""
    path = layout.get("path", name.removeprefix("foreign/"))
    values = array.reshape(len(array), *layout.get("shape", array.shape[1:])).astype(layout.get("dtype", array.dtype))
    group[path] = values


def _model_text(episode: Episode) -> str:
    """The MJCF text that the episode was imported with, while its source is still there."""
    if "model_file" not in episode.provenance.get("imported", {}):
        return ""
    try:
        return read_model_file(episode.provenance)
    except InputError:
        return ""
