"""features.json of TensorFlow Datasets: the names, shapes and kinds of what a record holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from storage.errors import SchemaError
from storage.formats.untrusted.limits import LIMITS, read_json_object


@dataclass(frozen=True, kw_only=True)
class Feature:
    """`name` with slashes, as in a record; `shape` of one entry, -1 where it varies; `dtype` of numbers."""

    name: str
    kind: Literal["numbers", "image", "text"]
    shape: tuple[int, ...]
    dtype: str = ""

    @property
    def is_step(self) -> bool:
        """Whether there is one entry a step."""
        return self.name.startswith("steps/")


def read_features(folder: Path) -> dict[str, Feature]:
    """Every feature of the data set in `folder`, by name; raises InputError and its kinds."""
    record = read_json_object(folder / "features.json")
    features = {feature.name: feature for feature in _walk(record, "", 0)}
    if not any(feature.is_step for feature in features.values()):
        raise SchemaError(f"{folder}/features.json has no `steps`; expected episodes as RLDS has them")
    return features


def _walk(node: Any, prefix: str, depth: int) -> Iterator[Feature]:
    if not isinstance(node, Mapping) or depth > LIMITS.depth:
        return
    if isinstance(inner := node.get("featuresDict"), Mapping):
        for name, child in (inner.get("features") or {}).items():
            yield from _walk(child, f"{prefix}/{name}" if prefix else str(name), depth + 1)
    elif isinstance(inner := node.get("sequence") or node.get("dataset"), Mapping):
        yield from _walk(inner.get("feature"), prefix, depth + 1)
    elif isinstance(inner := node.get("image"), Mapping):
        yield Feature(name=prefix, kind="image", shape=_shape(inner), dtype=str(inner.get("dtype") or "uint8"))
    elif "text" in node or str(node.get("pythonClassName", "")).endswith("Text"):
        yield Feature(name=prefix, kind="text", shape=())
    elif isinstance(inner := node.get("tensor") or node.get("scalar") or node.get("classLabel"), Mapping):
        dtype = str(inner.get("dtype") or "int64")
        kind: Literal["numbers", "text"] = "text" if dtype == "string" else "numbers"
        yield Feature(name=prefix, kind=kind, shape=_shape(inner), dtype=dtype)


def _shape(about: Mapping[str, Any]) -> tuple[int, ...]:
    shape = about.get("shape")
    sizes = shape.get("dimensions") if isinstance(shape, Mapping) else shape
    return tuple(int(size) for size in sizes or ())
