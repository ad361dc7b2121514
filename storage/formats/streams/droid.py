"""DROID as it was recorded: folders with trajectory.h5, recordings/MP4/<serial>.mp4 and metadata_*.json; 15 Hz.

State and action are the joint positions and the gripper; the other forms that DROID records (cartesian, velocities)
are kept beside them. Cameras are called after their place (wrist, ext1, ext2) where the metadata name the serial
numbers.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.errors import SchemaError
from storage.formats.detect import droid_episodes_in
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.robomimic.hdf5_file import opened
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, Stream, array_stream, video_stream
from storage.formats.untrusted.hdf5_tree import datasets_in
from storage.formats.untrusted.limits import read_json_object
from storage.formats.video.reader import probe

_RATE_HZ = 15.0
_STATE = ("observation/robot_state/joint_positions", "observation/robot_state/gripper_position")
_ACTION = ("action/joint_position", "action/gripper_position")


def _refs(root: Path, config: ImportConfig) -> list[Ref]:
    folder = root if root.is_dir() else root.parent
    refs = []
    for episode in droid_episodes_in(root):
        paths = [episode / "trajectory.h5", *_videos(episode), *sorted(episode.glob("metadata_*.json"))]
        names = tuple(str(path.relative_to(folder)) for path in paths)
        relative = str(episode.relative_to(folder))
        refs.append(Ref(name=relative if relative != "." else folder.name, files=names, place={"folder": relative}))
    return refs


def _videos(episode: Path) -> list[Path]:
    videos = sorted((episode / "recordings" / "MP4").glob("*.mp4"))
    return [path for path in videos if not path.stem.endswith("-stereo")]


@contextmanager
def _opened(root: Path, ref: Ref, config: ImportConfig) -> Iterator[Recording]:
    folder = root / str(ref.place["folder"])
    metadata = next(iter(sorted(folder.glob("metadata_*.json"))), None)
    about = read_json_object(metadata) if metadata else {}
    with opened(folder / "trajectory.h5") as file:
        streams = {name: array_stream(name, data) for name, data in datasets_in(str(folder), file)}
        lengths = [streams[name].length for name in _ACTION if name in streams]
        if not lengths:
            raise SchemaError(f"{folder}/trajectory.h5 has no {' or '.join(_ACTION)}; it has {', '.join(streams)}")
        streams |= _cameras(folder, about, lengths[0])
        yield Recording(
            streams=streams,
            length=lengths[0],
            rate_hz=_RATE_HZ,
            instruction=_instruction(root, folder, about),
            robot_type="droid",
            state=tuple(Piece(column=name) for name in _STATE if name in streams),
            action=tuple(Piece(column=name) for name in _ACTION if name in streams),
            about={key: about[key] for key in ("uuid", "lab", "success", "building") if key in about},
        )


def _cameras(folder: Path, about: Mapping[str, Any], length: int) -> dict[str, Stream]:
    places = {str(about.get(f"{place}_cam_serial")): place for place in ("wrist", "ext1", "ext2")}
    streams = {}
    for path in _videos(folder):
        info = probe(path)
        name = places.get(path.stem, path.stem)
        streams[name] = video_stream(name, path, info.frames or length, (info.height_px, info.width_px))
    return streams


def _instruction(root: Path, folder: Path, about: Mapping[str, Any]) -> str:
    """Of the annotations that DROID publishes beside the recordings, else the task that the operator was told."""
    for path in sorted(root.glob("aggregated-annotations*.json")):
        said = read_json_object(path).get(str(about.get("uuid")), {})
        for key in ("language_instruction1", "language_instruction2", "language_instruction3"):
            if isinstance(said, Mapping) and said.get(key):
                return str(said[key])
    return str(about.get("current_task") or "")


DROID = StreamFormat(name="droid", refs=_refs, opened=_opened)
