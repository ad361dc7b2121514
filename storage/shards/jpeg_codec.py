"""The zarr v3 codec `jpeg`: an inner chunk is one bare JPEG stream, so that zarr-python opens our cameras as arrays.

Name and configuration follow the extension proposed to zarr-developers/zarr-extensions (`jpeg`); beyond it, leading
axes of length one are accepted, since a frame is a chunk (1, H, W, 3). zarr finds it through the entry point
`zarr.codecs`; nothing in this project needs it to read its own files.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import simplejpeg
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON, parse_named_configuration
from zarr.registry import register_codec

from storage.errors import ConfigError, SchemaError
from storage.frames import CODECS

_SUBSAMPLINGS: dict[tuple[tuple[int, ...], ...], str] = {
    ((1, 1), (1, 1), (1, 1)): "444",
    ((2, 1), (1, 1), (1, 1)): "422",
    ((1, 2), (1, 1), (1, 1)): "440",
    ((2, 2), (1, 1), (1, 1)): "420",
}


@dataclass(frozen=True)
class JpegCodec(ArrayBytesCodec):  # type: ignore[misc]
    """uint8 chunks of shape (..., H, W, 3) or (..., H, W, 1), leading axes of length one, as JPEG streams.

    Lossy: reading gives what the decoder makes of the stream, not what was written.
    """

    quality: int = 90
    encoded_color_space: str = "ycbcr"
    subsampling: tuple[tuple[int, int], ...] = ((2, 2), (1, 1), (1, 1))

    is_fixed_size = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "subsampling", tuple(tuple(pair) for pair in self.subsampling))
        if not 0 <= self.quality <= 100:
            raise ConfigError(f"the quality of the jpeg codec lies in 0..100; got {self.quality}")
        if self.encoded_color_space != "ycbcr" or self.subsampling not in _SUBSAMPLINGS:
            raise ConfigError(
                f"the jpeg codec stores ycbcr with the subsampling of 4:4:4, 4:2:2, 4:4:0 or 4:2:0;"
                f" got {self.encoded_color_space} {self.subsampling}"
            )

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        _, configuration = parse_named_configuration(data, "jpeg")
        return cls(**configuration)

    def to_dict(self) -> dict[str, JSON]:
        configuration = {
            "quality": self.quality,
            "encoded_color_space": self.encoded_color_space,
            "subsampling": [list(pair) for pair in self.subsampling],
        }
        return {"name": "jpeg", "configuration": configuration}

    def validate(self, *, dtype: Any, **_: Any) -> None:
        """Refuse arrays that a JPEG cannot hold."""
        if dtype.to_native_dtype() != np.uint8:
            raise SchemaError(f"the jpeg codec takes uint8 arrays; got {dtype.to_native_dtype()}")

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        image = await asyncio.to_thread(_decode, chunk_bytes.to_bytes(), chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(image)

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        payload = await asyncio.to_thread(self._encode, chunk_array.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(payload)

    def _encode(self, chunk: np.ndarray[Any, Any]) -> bytes:
        image = np.ascontiguousarray(chunk.reshape(_image_shape(chunk.shape)))
        is_colour = image.shape[2] == 3
        payload: bytes = simplejpeg.encode_jpeg(
            image,
            quality=self.quality,
            colorspace="RGB" if is_colour else "GRAY",
            colorsubsampling=_SUBSAMPLINGS[self.subsampling] if is_colour else "Gray",
            fastdct=True,
        )
        return payload

    def compute_encoded_size(self, _input_byte_length: int, _chunk_spec: ArraySpec) -> int:
        """JPEG has no fixed size."""
        raise NotImplementedError("a JPEG stream has no fixed size")


def _image_shape(chunk: tuple[int, ...]) -> tuple[int, ...]:
    if len(chunk) < 3 or chunk[-1] not in (1, 3) or any(size != 1 for size in chunk[:-3]):
        raise SchemaError(f"a jpeg chunk has shape (..., H, W, 3 or 1) with leading ones; got {chunk}")
    return chunk[-3:]


def _decode(payload: bytes, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    image = np.empty(_image_shape(shape), dtype=np.uint8)
    if image.shape[2] == 3:
        CODECS["jpeg"].decode_into(payload, image)
    else:
        simplejpeg.decode_jpeg(payload, colorspace="GRAY", buffer=image)
    return image.reshape(shape)


register_codec("jpeg", JpegCodec)
