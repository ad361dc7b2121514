"""ALOHA and ACT: one HDF5 file an episode, /action and /observations/{qpos, qvel, images/<camera>} (Zhao et al.,
"Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware", and its public recordings).

Images are raw (T, H, W, 3) or, with the attribute `compress`, rows of JPEG bytes padded with zeros. The rate is 50 Hz
(ACT's DT = 0.02 s) where a file does not say otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.robomimic.hdf5_file import HDF5_SUFFIXES, opened
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, Stream, array_stream
from storage.formats.untrusted.hdf5_tree import datasets_in, text_attribute
from storage.formats.untrusted.pictures import decode_colour
from storage.pictures.resizing import RGB

_RATE_HZ = 50.0
_IMAGES = "observations/images/"
_TEXTS = ("language_raw", "language_instruction", "instruction", "task")


def _refs(root: Path, config: ImportConfig) -> list[Ref]:
    folder = root if root.is_dir() else root.parent
    paths = [root] if root.is_file() else (p for p in root.rglob("*") if p.suffix.lower() in HDF5_SUFFIXES)
    names = sorted((str(path.relative_to(folder)) for path in paths), key=_numerical)
    return [Ref(name=name, files=(name,), place={"file": name}) for name in names]


def _numerical(name: str) -> tuple[str, int]:
    stem = Path(name).stem
    head = stem.rstrip("0123456789")
    return str(Path(name).parent / head), int(stem[len(head) :] or 0)


@contextmanager
def _opened(root: Path, ref: Ref, config: ImportConfig) -> Iterator[Recording]:
    path = root / str(ref.place["file"])
    with opened(path) as file:
        streams: dict[str, Stream] = {}
        cameras = {camera.column: camera.options for camera in (config.columns.cameras or {}).values()}
        for name, data in datasets_in(str(path), file):
            if name.startswith(_IMAGES) and data.ndim == 2 and data.dtype == np.uint8:
                streams[name] = _compressed(str(path), name, data)
            else:
                streams[name] = array_stream(name, data, cameras.get(name, frozenset()), flipped=config.flip_images)
        action = next((streams[name] for name in ("action", "actions") if name in streams), None)
        if action is None or action.kind != "numbers":
            raise SchemaError(
                f"{path} has no /action (steps, numbers), or none that can be read; it has {', '.join(streams)}"
            )
        simulated = bool(file.attrs.get("sim", False))
        yield Recording(
            streams=streams,
            length=action.length,
            rate_hz=_rate(file),
            instruction=_instruction(file),
            robot_type="aloha",
            layer="simulation" if simulated else "real",
            state=(Piece(column="observations/qpos"),) if "observations/qpos" in streams else (),
            action=(Piece(column=action.name),),
            about={"simulated": simulated},
        )


def _rate(file: Any) -> float:
    for name in ("fps", "frequency", "rate_hz"):
        value = file.attrs.get(name)
        if isinstance(value, int | float | np.integer | np.floating) and value > 0:
            return float(value)
    return _RATE_HZ


def _instruction(file: Any) -> str:
    for name in _TEXTS:
        if text := text_attribute(file, name).strip():
            return text
        if name in file and getattr(file[name], "dtype", None) is not None and file[name].size == 1:
            value = np.asarray(file[name][()]).reshape(-1)[0]
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return ""


def _compressed(where: str, name: str, data: Any) -> Stream:
    first = _decoded(f"{where}: {name}", data[0])
    return Stream(
        name=name,
        kind="image",
        shape=(len(data), *first.shape),
        dtype="uint8",
        images=lambda length: (
            _decoded(f"{where}: {name}, step {row}", data[row]) for row in range(min(length, len(data)))
        ),
        size_px=(first.shape[0], first.shape[1]),
    )


def _decoded(where: str, row: Any) -> RGB:
    return decode_colour(where, np.asarray(row, np.uint8).tobytes())


ALOHA = StreamFormat(name="aloha", refs=_refs, opened=_opened)
