"""ManiSkill trajectories: one HDF5 file of groups traj_0, traj_1, ... with actions (T, A) and observations of T + 1
steps, beside a JSON file of the same name that tells of the environment. The last observation has no action and is
left out.

The rate is the environment's `control_freq`, by ManiSkill's default 20 Hz.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.errors import CorruptFileError, SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.robomimic.hdf5_file import HDF5_SUFFIXES, opened
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, Stream, array_stream
from storage.formats.untrusted.hdf5_tree import datasets_in, open_child
from storage.formats.untrusted.limits import read_json_object

_RATE_HZ = 20.0
_STATE = ("obs/agent/qpos", "obs/extra/tcp_pose", "obs/state", "obs")


def _refs(root: Path, config: ImportConfig) -> list[Ref]:
    folder = root if root.is_dir() else root.parent
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() in HDF5_SUFFIXES)
    refs = []
    for path in paths:
        with opened(path) as file:
            names = sorted(
                (str(name) for name in file if re.fullmatch(r"traj_\d+", str(name))), key=lambda n: int(n[5:])
            )
        relative = str(path.relative_to(folder))
        beside = [str(path.with_suffix(".json").relative_to(folder))] if path.with_suffix(".json").is_file() else []
        refs += [
            Ref(name=f"{name} of {path.name}", files=(relative, *beside), place={"file": relative, "traj": name})
            for name in names
        ]
    return refs


@contextmanager
def _opened(root: Path, ref: Ref, config: ImportConfig) -> Iterator[Recording]:
    path = root / str(ref.place["file"])
    about = read_json_object(path.with_suffix(".json")) if path.with_suffix(".json").is_file() else {}
    with opened(path) as file:
        group = open_child(str(path), file, str(ref.place["traj"]))
        streams: dict[str, Stream] = {}
        for name, data in datasets_in(f"{path}, {ref.place['traj']}", group):
            streams[name] = array_stream(name, data, flipped=config.flip_images)
        if "actions" not in streams or streams["actions"].kind != "numbers":
            raise SchemaError(
                f"{path}: {ref.place['traj']} has no actions (steps, numbers); it has {', '.join(streams)}"
            )
        environment = about.get("env_info", {})
        if not isinstance(environment, Mapping):
            raise CorruptFileError(f"{path.with_suffix('.json')}: env_info must be a JSON object")
        kwargs = environment.get("env_kwargs") or {}
        state = next((name for name in _STATE if name in streams and streams[name].kind == "numbers"), "")
        yield Recording(
            streams=streams,
            length=streams["actions"].length,
            rate_hz=_number((kwargs.get("sim_config") or {}).get("control_freq")) or _RATE_HZ,
            instruction=str(environment.get("instruction") or ""),
            robot_type=str(kwargs.get("robot_uids") or "maniskill"),
            layer="simulation",
            state=(Piece(column=state),) if state else (),
            action=(Piece(column="actions"),),
            about={"environment": dict(environment), "episode": _episode(about, str(ref.place["traj"]))},
        )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


def _episode(about: Mapping[str, Any], name: str) -> dict[str, Any]:
    episodes = about.get("episodes")
    for row in episodes if isinstance(episodes, list) else []:
        if isinstance(row, dict) and f"traj_{row.get('episode_id')}" == name:
            return {key: row[key] for key in ("episode_id", "episode_seed", "control_mode", "success") if key in row}
    return {}


MANISKILL = StreamFormat(name="maniskill", refs=_refs, opened=_opened)
