"""The shape of a clip, and cutting recorded episodes to it, in seconds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.episode import Episode
from storage.errors import ConfigError, SchemaError
from storage.pictures.resizing import Resize


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """`frames` pictures of `height_px` x `width_px` at `rate_hz`. GR00T N1 (appendix F): 81 of 480 x 832; 8 Hz."""

    frames: int
    height_px: int
    width_px: int
    rate_hz: float

    def __post_init__(self) -> None:
        if min(self.frames, self.height_px, self.width_px) < 1 or not self.rate_hz > 0:
            raise ConfigError(f"a clip needs frames, height_px, width_px and rate_hz above 0; got {self}")

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.frames - 1) / self.rate_hz


def frame_numbers(episode: Episode, shape: ClipShape, *, start_s: float = 0.0) -> NDArray[np.int64]:
    """The frame of `episode` nearest to each moment of a clip that begins at `start_s`, (T,); its last is held."""
    stamps = episode.timestamps()
    moments = stamps[0] + start_s + np.arange(shape.frames) / shape.rate_hz
    right = np.clip(np.searchsorted(stamps, moments), 1, max(len(stamps) - 1, 1))
    if len(stamps) == 1:
        return np.zeros(shape.frames, np.int64)
    nearer_left = moments - stamps[right - 1] <= stamps[right] - moments
    chosen: NDArray[np.int64] = (right - nearer_left).astype(np.int64)
    return chosen


def cut_clip(episode: Episode, camera: str, shape: ClipShape, *, start_s: float = 0.0) -> NDArray[np.uint8]:
    """The clip (T, H, W, 3) of one camera that begins `start_s` into the episode, resized by stretching.

    Raises SchemaError when the camera is missing or holds no colour pictures.
    """
    if camera not in episode.cameras:
        there = ", ".join(sorted(episode.cameras)) or "none"
        raise SchemaError(f"episode {episode.episode_id!r} has no camera {camera!r}; it has: {there}")
    numbers = frame_numbers(episode, shape, start_s=start_s)
    wanted, places = np.unique(numbers, return_inverse=True)
    decoded: NDArray[Any] = episode.cameras[camera].decode([int(number) for number in wanted])
    if decoded.ndim != 4 or decoded.dtype != np.uint8:
        raise SchemaError(f"camera {camera!r} of {episode.episode_id!r} holds {decoded.dtype} planes, not colour")
    resize = Resize(size_px=(shape.height_px, shape.width_px))
    small = np.stack([resize(image) for image in decoded])
    return small[places]
