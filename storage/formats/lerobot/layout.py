"""What the numbers of a LeRobot vector mean: from modality.json, from the robot's type, or from the names of features.

A vector is matched to an embodiment that is known here; when none fits, a new one is derived and declared, so that no
data set is refused for its robot.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from storage.embodiment import EMBODIMENTS, SHIPPED, Embodiment, Layout, Part, Quantity
from storage.errors import SchemaError
from storage.formats.derived_embodiment import derived_name
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.lerobot.vectors import VECTORS, VectorName, Vectors, VectorSource, vectors_of

_ROBOT_TYPES = {
    "gr1": "gr1",
    "gr1armsonly": "gr1",
    "gr1armsandwaist": "gr1",
    "gr1unified": "gr1",
    "fouriergr1": "gr1",
    "unitreeg1inspire": "g1_inspire",
    "g1inspire": "g1_inspire",
    "so100": "so_arm",
    "so101": "so_arm",
    "so100follower": "so_arm",
    "so101follower": "so_arm",
    "soarm": "so_arm",
    "franka": "panda",
    "panda": "panda",
    "widowx": "widowx",
    "widowx250": "widowx",
}
_ROTATIONS: Mapping[str, Quantity] = {
    "rotation_6d": "rotation_6d",
    "axis_angle": "axis_angle",
    "quaternion": "quaternion_wxyz",
    "euler_angles_rpy": "euler_xyz",
}
_ROTATION_NAMES: Mapping[Quantity, str] = {
    "rotation_6d": "rotation_6d",
    "axis_angle": "axis_angle",
    "axis_angle_delta": "axis_angle",
    "quaternion_wxyz": "quaternion",
    "euler_xyz": "euler_angles_rpy",
}


def find_embodiment(meta: LeRobotMeta, wanted: str = "", sources: Vectors | None = None) -> Embodiment:
    """The embodiment of a data set: `wanted`, what our own export noted, a known one that fits, or a derived one.

    A `wanted` name that nobody knows is a new embodiment of this data set's layout. A derived or new one is only
    described, not registered. Raises SchemaError when `wanted` is known and has other sizes.
    """
    sources = vectors_of(meta) if sources is None else sources
    sizes = {vector: source.size if source else 0 for vector, source in sources.items()}
    if wanted in EMBODIMENTS:
        return _checked(EMBODIMENTS[wanted], sizes, meta)
    if wanted:
        return _derived(meta, sources, wanted)
    for record in meta.ours.get("embodiments", {}).values():
        return Embodiment.from_json(record)
    for known in (EMBODIMENTS[name] for name in sorted(SHIPPED)):
        if all(sources[vector] and _names_of(sources[vector]) == _parts_of(known, vector) for vector in VECTORS):
            return known
    simple = re.sub(r"[^a-z0-9]", "", meta.robot_type.lower())
    named = EMBODIMENTS.get(_ROBOT_TYPES.get(simple, ""))
    if named and (sizes["state"], sizes["action"]) == (named.state.size, named.action.size):
        return named
    return _derived(meta, sources)


def _checked(known: Embodiment, sizes: Mapping[VectorName, int], meta: LeRobotMeta) -> Embodiment:
    for vector in VECTORS:
        layout: Layout = getattr(known, vector)
        if layout.size and sizes[vector] and layout.size != sizes[vector]:
            raise SchemaError(
                f"{meta.root}: its {vector} has {sizes[vector]} numbers, that of embodiment {known.name!r} has "
                f"{layout.size}; name another embodiment, or none to have one derived from {meta.robot_type!r}"
            )
    return known


def _names_of(source: VectorSource | None) -> list[tuple[str, int]]:
    return [(piece.name, piece.end - piece.start) for piece in source.slices] if source else []


def _parts_of(known: Embodiment, vector: VectorName) -> list[tuple[str, int]]:
    return [(part.name, part.size) for part in getattr(known, vector).parts]


def _derived(meta: LeRobotMeta, sources: Vectors, name: str = "") -> Embodiment:
    """A new embodiment of this layout, called `name`, or after the robot's type and the layout."""
    layouts = {vector: _derived_layout(meta, source, vector) for vector, source in sources.items()}
    return Embodiment(
        name=name or derived_name(meta.robot_type, layouts["state"], layouts["action"]),
        description=f"Derived from a LeRobot data set of robot type {meta.robot_type!r}; units are unknown",
        state=layouts["state"],
        action=layouts["action"],
    )


def _derived_layout(meta: LeRobotMeta, source: VectorSource | None, vector: VectorName) -> Layout:
    if source is None:
        return Layout()
    if source.slices[0].name:
        entries = meta.modality.get(vector, {})
        return Layout(
            parts=tuple(
                _guessed(piece.name, piece.end - piece.start, entries.get(piece.name, {})) for piece in source.slices
            )
        )
    names = feature_names(meta.features[source.slices[0].column].get("names"))
    if len(names) == source.size and len(set(names)) == len(names):
        return Layout(parts=tuple(_guessed(name, 1, {}) for name in names))
    return Layout(parts=(Part(name="vector", size=source.size, quantity="joint", unit="1"),))


def feature_names(names: Any) -> list[str]:
    """The names of a feature's numbers: a list, a list in a list, or an object of lists; LeRobot has had all three."""
    if isinstance(names, Mapping):
        names = list(names.values())
    while isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
        names = names[0]
    return (
        [str(name) for name in names] if isinstance(names, list) and not any(isinstance(n, list) for n in names) else []
    )


def _guessed(name: str, size: int, entry: Mapping[str, Any]) -> Part:
    """A part whose quantity is guessed from its name, its size and what modality.json says."""
    absolute = bool(entry.get("absolute", True))
    quantity: Quantity = _ROTATIONS.get(str(entry.get("rotation_type")), "joint")
    lower = name.lower()
    if quantity == "axis_angle" and not absolute:
        quantity = "axis_angle_delta"
    elif "gripper" in lower:
        quantity = "gripper"
    elif re.search(r"hand|finger|thumb", lower):
        quantity = "hand"
    elif quantity == "joint" and size == 3 and re.search(r"pos|xyz|translation", lower):
        quantity = "position" if absolute else "position_delta"
    fits = {"rotation_6d": 6, "axis_angle": 3, "axis_angle_delta": 3, "quaternion_wxyz": 4, "euler_xyz": 3}
    if fits.get(quantity, size) != size:
        quantity = "joint"
    return Part(name=name, size=size, quantity=quantity, unit="1")


def modality_of(embodiment: Embodiment, cameras: Sequence[str], vectors: Mapping[str, str]) -> dict[str, Any]:
    """modality.json for an export. `vectors` maps "state" and "action" to the parquet column that holds each."""
    record: dict[str, Any] = {"state": {}, "action": {}}
    for vector, column in vectors.items():
        for part, span in getattr(embodiment, vector):
            entry: dict[str, Any] = {"start": span.start, "end": span.stop, "original_key": column, "dtype": "float32"}
            if part.quantity in _ROTATION_NAMES:
                entry["rotation_type"] = _ROTATION_NAMES[part.quantity]
            entry["absolute"] = not part.quantity.endswith("_delta")
            record[vector][part.name] = entry
    record["video"] = {camera: {"original_key": f"observation.images.{camera}"} for camera in cameras}
    return record
