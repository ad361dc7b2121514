"""RLDS as Open X-Embodiment publishes it: TFRecord files with their features.json, one record an episode.

RT-1, Bridge, Language Table and DROID are known by the names of their features and data sets; others need
`--rate-hz`, and a mapping where their state and action have other names. TensorFlow is not needed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import SchemaError
from storage.formats.depth import depth_from_bytes
from storage.formats.detect import rlds_folders_in
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece
from storage.formats.rlds.example import parse_example
from storage.formats.rlds.features import Feature, read_features
from storage.formats.rlds.tfrecord import read_record, record_offsets
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, Stream
from storage.formats.untrusted.limits import check_array, check_image, read_json_object
from storage.formats.untrusted.pictures import decode_colour

_RATES_HZ = {"fractal20220817_data": 3.0, "bridge": 5.0, "bridge_dataset": 5.0, "language_table": 10.0, "droid": 15.0}
_STATE = (
    ("observation/state",),
    ("observation/joint_position", "observation/gripper_position"),
    ("observation/base_pose_tool_reached", "observation/gripper_closed"),
    ("observation/effector_translation",),
)
_ACTION = (
    ("action",),
    ("action/world_vector", "action/rotation_delta", "action/gripper_closedness_action"),
    ("action/world_vector", "action/rotation_delta", "action/open_gripper"),
)
_LANGUAGE_TABLE = "observation/instruction"


def _refs(root: Path, config: ImportConfig) -> list[Ref]:
    refs = []
    for folder in rlds_folders_in(root):
        for path in sorted(folder.glob("*.tfrecord*")):
            relative = str(path.relative_to(root))
            about = str((folder / "features.json").relative_to(root))
            for number, offset in enumerate(record_offsets(path)):
                place = {"file": relative, "offset": offset}
                refs.append(Ref(name=f"record {number} of {path.name}", files=(relative, about), place=place))
    return refs


@contextmanager
def _opened(root: Path, ref: Ref, config: ImportConfig) -> Iterator[Recording]:
    path = root / str(ref.place["file"])
    features = _features(path.parent, (path.parent / "features.json").stat().st_mtime_ns)
    values = parse_example(ref.name, read_record(path, int(ref.place["offset"])))
    length = _length(ref.name, features, values)
    streams: dict[str, Stream] = {}
    for name, feature in features.items():
        if feature.is_step and name in values:
            short = name.removeprefix("steps/")
            streams[short] = _stream(ref.name, short, feature, values[name], length)
    named = _name_of(path.parent)
    yield Recording(
        streams=streams,
        length=length,
        rate_hz=_RATES_HZ.get(named, 0.0),
        instruction=_language_table(streams),
        robot_type=named,
        state=_known(streams, _STATE),
        action=_known(streams, _ACTION),
        about={"data_set": named, "episode": _about(features, values)},
    )


@lru_cache(maxsize=4)
def _features(folder: Path, changed_ns: int) -> dict[str, Feature]:
    return read_features(folder)


def _name_of(folder: Path) -> str:
    """The name of the data set, of dataset_info.json or of the folder above the version."""
    path = folder / "dataset_info.json"
    told = read_json_object(path).get("name") if path.is_file() else None
    return str(told or (folder.parent.name if folder.name[:1].isdigit() else folder.name))


def _length(where: str, features: Mapping[str, Feature], values: Mapping[str, Any]) -> int:
    for name in ("steps/is_first", "steps/is_last", "steps/reward", "steps/discount"):
        if name in values and len(values[name]):
            return len(values[name])
    for name, feature in features.items():
        if feature.is_step and feature.kind != "numbers" and values.get(name):
            return len(values[name])
    raise SchemaError(f"{where} has no steps; expected steps/is_first or images or texts, one a step")


def _stream(where: str, name: str, feature: Feature, values: Any, length: int) -> Stream:
    if feature.kind == "text":
        return Stream(name=name, kind="text", shape=(len(values),), dtype="text", read=lambda: _texts(values))
    if feature.kind == "image" and isinstance(values, list):
        return _images(f"{where}, {name}", name, feature, values)
    if feature.kind != "numbers" or isinstance(values, list):
        return Stream(name=name, kind="other", shape=(len(values),), dtype="bytes", why="bytes of no known meaning")
    width = int(np.prod([size for size in feature.shape if size > 0], dtype=np.int64))
    check_array(f"{where}, {name}", (length, width), 8)
    if len(values) != length * width or -1 in feature.shape:
        return Stream(
            name=name, kind="other", shape=(len(values),), dtype=feature.dtype, why=f"not {width} numbers a step"
        )
    rows = values.reshape(length, width)
    return Stream(name=name, kind="numbers", shape=rows.shape, dtype=str(rows.dtype), read=lambda: rows)


def _images(where: str, name: str, feature: Feature, values: list[bytes]) -> Stream:
    if not values:
        return Stream(name=name, kind="other", shape=(0,), dtype="image", why="holds no image")
    depth = feature.dtype == "uint16" or (feature.shape[-1:] == (1,) and "depth" in name)
    size = feature.shape[:2]
    if len(size) != 2 or min(size) < 1:
        first = _decoded(where, values[0], depth=depth)
        size = (first.shape[0], first.shape[1])
    check_image(where, *size)
    return Stream(
        name=name,
        kind="depth" if depth else "image",
        shape=(len(values), *size, 3),
        dtype=feature.dtype,
        images=lambda length: (
            _decoded(f"{where}, step {row}", values[row], depth=depth) for row in range(min(length, len(values)))
        ),
        size_px=(size[0], size[1]),
    )


def _decoded(where: str, content: bytes, *, depth: bool) -> Any:
    return depth_from_bytes(where, content) if depth else decode_colour(where, content)


def _known(streams: Mapping[str, Stream], candidates: tuple[tuple[str, ...], ...]) -> tuple[Piece, ...]:
    for names in candidates:
        if all(name in streams and streams[name].kind == "numbers" for name in names):
            return tuple(Piece(column=name) for name in names)
    return ()


def _texts(values: list[bytes]) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values]


def _language_table(streams: Mapping[str, Stream]) -> str:
    """Language Table stores its instruction as 512 numbers, the bytes of the text and zeros."""
    stream = streams.get(_LANGUAGE_TABLE)
    if stream is None or stream.kind != "numbers" or stream.width < 64:
        return ""
    codes = stream.numbers()[0]
    return bytes(int(code) for code in codes if 0 < code < 256).decode("utf-8", "replace").strip()


def _about(features: Mapping[str, Feature], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says about its episode as a whole."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if name in features and not features[name].is_step and len(value) == 1:
            one = value[0]
            if isinstance(one, bytes):
                out[name] = one[:1000].decode("utf-8", "replace")
            else:
                out[name] = float(one) if np.isfinite(one) else None
    return out


RLDS = StreamFormat(name="rlds", refs=_refs, opened=_opened, uniform=True)
