"""What all episodes of one shard have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg

from storage.episode import Episode
from storage.errors import SchemaError
from storage.frames import frame_codec

Camera = tuple[int, int, str]
"""Height and width in pixels, name of the frame codec."""


@dataclass(frozen=True, kw_only=True)
class ShardLayout:
    """One body, one rate, one set of cameras and of arrays. `arrays` maps a field to (shape of a row, dtype)."""

    embodiment: str
    rate_hz: float
    cameras: Mapping[str, Camera]
    arrays: Mapping[str, tuple[tuple[int, ...], str]]

    @classmethod
    def of(cls, episode: Episode) -> "ShardLayout":
        """The layout of `episode`, its names in order."""
        return cls(
            embodiment=episode.embodiment,
            rate_hz=float(episode.rate_hz),
            cameras={
                name: (frames.height_px, frames.width_px, frames.codec)
                for name, frames in sorted(episode.cameras.items())
            },
            arrays={name: (rows.shape[1:], rows.dtype.name) for name, rows in sorted(episode.arrays.items())},
        )

    def difference(self, other: "ShardLayout") -> str:
        """In words, how `other` differs from this layout."""
        parts = []
        for name in ("embodiment", "rate_hz", "cameras", "arrays"):
            expected, came = getattr(self, name), getattr(other, name)
            if expected != came:
                parts.append(f"expected {name} {_plain(expected)}, got {_plain(came)}")
        return "; ".join(parts) or "they are the same"

    def to_json(self) -> dict[str, Any]:
        return {
            "embodiment": self.embodiment,
            "rate_hz": self.rate_hz,
            "cameras": {
                name: {"height_px": height_px, "width_px": width_px, "frame_codec": codec}
                for name, (height_px, width_px, codec) in self.cameras.items()
            },
            "arrays": {
                name: {"row_shape": list(row_shape), "dtype": dtype} for name, (row_shape, dtype) in self.arrays.items()
            },
        }


def check_layout(record: Mapping[str, Any]) -> None:
    """Raise ValueError unless `record`, a layout in JSON as it was written, can be used: names of types that
    there are, shapes and sizes that are whole numbers."""
    try:
        for about in record.get("arrays", {}).values():
            np.dtype(about["dtype"])
            _check_sizes(about["row_shape"])
        for about in record.get("cameras", {}).values():
            _check_sizes((about["height_px"], about["width_px"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the layout of a shard is damaged: {error}") from error


def _check_sizes(sizes: Sequence[Any]) -> None:
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError(f"sizes are whole numbers of at least 0; got {list(sizes)}")


def _plain(value: Any) -> str:
    return str(dict(value)) if isinstance(value, Mapping) else str(value)


def check_payload(camera: str, payload: bytes | memoryview, expected: Camera) -> None:
    """Raise SchemaError unless `payload` is a frame of the camera's size. Only a JPEG says its size for nothing."""
    height_px, width_px, codec = expected
    if not len(payload):
        raise SchemaError(f"camera {camera!r}: a frame without content")
    if not frame_codec(codec).is_jpeg:
        return
    try:
        came = simplejpeg.decode_jpeg_header(payload)[:2]
    except ValueError as error:
        raise SchemaError(
            f"camera {camera!r}: codec {codec!r} stores JPEG streams; this frame is none ({error})"
        ) from error
    if came != (height_px, width_px):
        raise SchemaError(f"camera {camera!r}: expected frames of {width_px}x{height_px} px; got {came[1]}x{came[0]}")
