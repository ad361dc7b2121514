"""Playable clips for the report: one camera of one episode as an mp4 in a data URI."""

import base64
import io
from fractions import Fraction

import av
import cv2
import numpy as np

from storage.frames import Frames, Image, frame_codec

CLIP_FRAMES = 150
CLIP_WIDTH_PX = 256


def clip_data_uri(frames: Frames, *, rate_hz: float) -> str:
    """The mp4 of `clip_bytes` in a data URI."""
    return "data:video/mp4;base64," + base64.b64encode(clip_bytes(frames, rate_hz=rate_hz)).decode()


def clip_bytes(frames: Frames, *, rate_hz: float) -> bytes:
    """An H.264 mp4 of at most CLIP_FRAMES frames, evenly drawn and played in the clip's own time."""
    stride = -(-len(frames) // CLIP_FRAMES)
    buffer = io.BytesIO()
    width, height = _even_size(frames)
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000) / stride)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "26", "preset": "veryfast"}
        for index in range(0, len(frames), stride):
            picture = _as_colour(frames.decode([index])[0], frames.codec)
            resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(resized, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _even_size(frames: Frames) -> tuple[int, int]:
    width = min(frames.width_px, CLIP_WIDTH_PX)
    height = frames.height_px * width // frames.width_px
    return max(2, width // 2 * 2), max(2, height // 2 * 2)


def _as_colour(image: Image, codec: str) -> Image:
    """Masks and depth as grey pictures; depth is spread over its own range."""
    if frame_codec(codec).channels == 3:
        return image
    spread = image.astype(np.float32) / max(float(image.max()), 1.0) * 255.0
    return np.repeat(spread.astype(np.uint8)[..., None], 3, axis=2)
