"""The `zarr.json` documents of a shard: written by hand and read by hand, because opening them through a zarr library
costs fifty times as much. What is written here any zarr v3 reader can open (docs/shard-format.md is the contract).

A low-dimensional array is one uncompressed chunk in one file, so that it can be mapped into memory. A camera is one
`sharding_indexed` chunk in one file whose inner chunks are single frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.errors import CorruptFileError
from storage.frames import FrameCodec, frame_codec

SHARD_VERSION = 1
GROUP_KEY = "data_pyramid"
INDEX_CRC_BYTES = 4
_CHUNK_KEY_ENCODING = {"name": "default", "configuration": {"separator": "."}}
_SUBSAMPLING = {"420": [[2, 2], [1, 1], [1, 1]], "444": [[1, 1], [1, 1], [1, 1]]}
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


@dataclass(frozen=True, kw_only=True)
class ArrayMetadata:
    """What a shard's reader needs to know about one array. `frame_codec` is "" for a low-dimensional array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    frame_codec: str = ""

    @property
    def chunk_file(self) -> str:
        """Name of the only file that holds the array's content."""
        return ".".join(["c", *("0" for _ in self.shape)])

    @property
    def bytes(self) -> int:
        """Size of the content of a low-dimensional array."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


def group_document(attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The `zarr.json` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})}


def array_document(metadata: ArrayMetadata, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The `zarr.json` of an array of either kind."""
    is_video = bool(metadata.frame_codec)
    codecs = [_sharding(metadata)] if is_video else [_bytes_codec(metadata.dtype)]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(metadata.shape),
        "data_type": metadata.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(metadata.shape)}},
        "chunk_key_encoding": _CHUNK_KEY_ENCODING,
        "fill_value": False if metadata.dtype == np.bool_ else 0,
        "codecs": codecs,
        "attributes": {**attributes, **({"frame_codec": metadata.frame_codec} if is_video else {})},
    }


def _bytes_codec(dtype: np.dtype[Any]) -> dict[str, Any]:
    return {"name": "bytes", "configuration": {"endian": "little"}} if dtype.itemsize > 1 else {"name": "bytes"}


def _sharding(metadata: ArrayMetadata) -> dict[str, Any]:
    codec = frame_codec(metadata.frame_codec)
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [1, *metadata.shape[1:]],
            "codecs": _frame_codecs(codec),
            "index_codecs": _INDEX_CODECS,
            "index_location": "end",
        },
    }


def _frame_codecs(codec: FrameCodec) -> list[dict[str, Any]]:
    if codec.is_jpeg:
        return [{"name": "jpeg", "configuration": jpeg_configuration(codec)}]
    if codec.is_reference:
        return [{"name": "data_pyramid.reference"}]
    zstd = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
    return [_bytes_codec(np.dtype(codec.dtype)), zstd]


def jpeg_configuration(codec: FrameCodec) -> dict[str, Any]:
    """The configuration of the `jpeg` codec, in the words of the proposed zarr extension of that name."""
    return {
        "quality": codec.jpeg_quality,
        "encoded_color_space": "ycbcr",
        "subsampling": _SUBSAMPLING[codec.jpeg_subsampling],
    }


def parse_array(document: Mapping[str, Any], where: str) -> ArrayMetadata:
    """The inverse of `array_document`; raises CorruptFileError naming `where` for what this project did not write."""
    try:
        shape = tuple(int(size) for size in document["shape"])
        chunk = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        codecs: Sequence[Mapping[str, Any]] = document["codecs"]
        name = document["attributes"].get("frame_codec", "")
        metadata = ArrayMetadata(shape=shape, dtype=np.dtype(document["data_type"]), frame_codec=name)
        outermost = codecs[0]["name"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CorruptFileError(f"{where} is not the zarr.json of an array of a shard: {error!r}") from error
    if chunk != shape or len(codecs) != 1 or outermost != ("sharding_indexed" if name else "bytes"):
        raise CorruptFileError(
            f"{where}: expected one chunk of shape {list(shape)} under one codec, 'bytes' or 'sharding_indexed';"
            f" got chunks of {list(chunk)} under {[codec.get('name') for codec in codecs]}"
        )
    return metadata
