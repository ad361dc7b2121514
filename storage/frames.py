"""Encoded camera frames. A frame is encoded once, where it is born, and decoded only where a model looks at it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import simplejpeg
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from storage.errors import CorruptFileError, SchemaError, UnknownNameError

Image = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class FrameCodec:
    """How one frame becomes bytes. `channels` is 3 for colour and 0 for a single plane (depth, masks)."""

    name: str
    dtype: Literal["uint8", "uint16"]
    channels: Literal[0, 3]
    jpeg_quality: int = 0
    jpeg_subsampling: str = ""

    @property
    def is_reference(self) -> bool:
        """Whether a payload names a frame of a source video in place of holding one."""
        return self.name == "reference"

    @property
    def is_jpeg(self) -> bool:
        return self.jpeg_quality > 0

    def shape(self, height_px: int, width_px: int) -> tuple[int, ...]:
        """Shape of one decoded frame: (H, W, 3), or (H, W) for a single plane."""
        return (height_px, width_px, self.channels) if self.channels else (height_px, width_px)

    def encode(self, image: Image) -> bytes:
        """Bytes of one image of this codec's dtype, shape (H, W, 3) or (H, W)."""
        if image.dtype != self.dtype or image.ndim != (3 if self.channels else 2):
            raise SchemaError(
                f"codec {self.name!r} takes {self.dtype} images of shape {'(H, W, 3)' if self.channels else '(H, W)'};"
                f" got {image.dtype} {image.shape}"
            )
        if self.is_reference:
            raise SchemaError("codec 'reference' names frames of a source video; it cannot store an image")
        contiguous: NDArray[Any] = np.ascontiguousarray(image)
        if self.is_jpeg:
            payload: bytes = simplejpeg.encode_jpeg(
                contiguous,
                quality=self.jpeg_quality,
                colorspace="RGB",
                colorsubsampling=self.jpeg_subsampling,
                fastdct=True,
            )
            return payload
        return bytes(_ZSTD.encode(contiguous))

    def encode_planes(self, planes: Sequence[NDArray[np.uint8]]) -> bytes:
        """Bytes of one image given as luma (H, W) and two chroma planes (H/2, W/2) of JPEG's own range (BT.601, 0 to
        255), for JPEG codecs of 4:2:0: nothing is converted to RGB and back."""
        payload: bytes = simplejpeg.encode_jpeg_yuv_planes(*planes, quality=self.jpeg_quality, fastdct=True)
        return payload

    def decode_into(self, payload: bytes | memoryview, out: Image) -> None:
        """Decode one frame straight into `out`, which has the frame's shape and dtype and is contiguous."""
        if self.is_reference:
            from storage.formats.video.source_frames import read_source_frame  # it imports this module

            read_source_frame(payload, out)
            return
        try:
            if self.is_jpeg:
                # The fast variants of decoding shift colours by a level and cost 1.5 dB for a tenth of the time.
                came = simplejpeg.decode_jpeg(
                    payload, colorspace="RGB", fastdct=False, fastupsample=False, buffer=out
                ).shape
            else:
                came = out.shape
                _ZSTD.decode(payload, out)
        except (ValueError, RuntimeError, TypeError) as error:
            raise CorruptFileError(f"a frame of codec {self.name!r} does not decode: {error}") from error
        if came != out.shape:
            raise CorruptFileError(f"expected a frame of shape {out.shape}; it decodes to {came}")


_ZSTD = Zstd(level=1)

CODECS: dict[str, FrameCodec] = {
    codec.name: codec
    for codec in (
        FrameCodec(name="jpeg", dtype="uint8", channels=3, jpeg_quality=90, jpeg_subsampling="420"),
        FrameCodec(name="high", dtype="uint8", channels=3, jpeg_quality=95, jpeg_subsampling="444"),
        FrameCodec(name="lossless", dtype="uint8", channels=3),
        FrameCodec(name="mask", dtype="uint8", channels=0),
        FrameCodec(name="depth", dtype="uint16", channels=0),
        FrameCodec(name="reference", dtype="uint8", channels=3),
    )
}
"""Every way a frame is stored; `depth` is millimetres, `reference` names a frame of a source video."""


def frame_codec(name: str) -> FrameCodec:
    """The codec called `name`; raises UnknownNameError."""
    try:
        return CODECS[name]
    except KeyError:
        raise UnknownNameError.among("frame codec", name, CODECS) from None


@dataclass(frozen=True, kw_only=True)
class Frames:
    """One camera's frames of one episode, encoded: T payloads, all of one size and codec.

    `payloads` may be any sequence, also one that reads from disk when indexed.
    """

    payloads: Sequence[bytes | memoryview]
    height_px: int
    width_px: int
    codec: str = "jpeg"

    def __len__(self) -> int:
        return len(self.payloads)

    def decode(self, indices: Sequence[int] | None = None) -> Image:
        """Frames `indices` (all by default) as one array (N, H, W, 3) uint8, or (N, H, W) for a single plane."""
        codec = frame_codec(self.codec)
        chosen = range(len(self.payloads)) if indices is None else indices
        out = np.empty((len(chosen), *codec.shape(self.height_px, self.width_px)), dtype=codec.dtype)
        for row, index in enumerate(chosen):
            codec.decode_into(self.payloads[index], out[row])
        return out

    def release(self, indices: range) -> None:
        """Let the memory go that holds these payloads, where they are read from disk: a long clip that is read once
        from end to end then takes no more memory than a short one. They can be read again."""
        release = getattr(self.payloads, "release", None)
        if release is not None:
            release(indices)

    @classmethod
    def encode(cls, images: Iterable[Image], codec: str = "jpeg") -> "Frames":
        """Encode `images`, each (H, W, 3) or (H, W), one at a time; all must have one size."""
        encode = frame_codec(codec).encode
        return cls.joined(((encode(image), (image.shape[0], image.shape[1])) for image in images), codec)

    @classmethod
    def joined(cls, encoded: Iterable[tuple[bytes, tuple[int, int]]], codec: str = "jpeg") -> "Frames":
        """Frames of (payload, (height, width)) as `codec` encodes them; all must have one size."""
        payloads: list[bytes] = []
        size: tuple[int, int] | None = None
        for payload, here in encoded:
            size = size or here
            if here != size:
                raise SchemaError(f"frame {len(payloads)} is {here[1]}x{here[0]} px, the first one {size[1]}x{size[0]}")
            payloads.append(payload)
        if size is None:
            raise SchemaError("a video needs at least one frame; got none")
        return cls(payloads=payloads, height_px=size[0], width_px=size[1], codec=codec)
