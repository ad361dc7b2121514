"""A clip as the rules see it: measured once, frame by frame, so that all rules together cost one decoding.

Everything is measured on grey thumbnails (area averages, the longer side `THUMBNAIL_PX`): a fault that a rule speaks of
is one that is seen from afar, and averaging keeps noise of sensors and codecs out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from judges.rules.optical_flow import Flow, measure_flow
from storage.episode import Episode
from storage.errors import InputError
from storage.frames import Frames, frame_codec

Array = NDArray[Any]
THUMBNAIL_PX = 112
_BLOCK = 32


@dataclass(frozen=True, kw_only=True)
class JudgedClip:
    """One camera of one episode. `grey` (T, h, w) float32 in 0..255; `sharpness` (T,) is the variance of the
    Laplacian of the grey frame; `contrast` (T,) its standard deviation."""

    episode: Episode
    camera: str
    rate_hz: float
    grey: NDArray[np.float32]
    sharpness: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.grey)

    @cached_property
    def change(self) -> NDArray[np.float32]:
        """Mean absolute difference from the frame before, (T,); 0 at the first frame."""
        steps = np.abs(np.diff(self.grey, axis=0)).mean(axis=(1, 2))
        return np.concatenate([np.zeros(1, np.float32), steps])

    @cached_property
    def light(self) -> NDArray[np.float32]:
        """Mean brightness, (T,)."""
        light: NDArray[np.float32] = self.grey.mean(axis=(1, 2))
        return light

    @cached_property
    def contrast(self) -> NDArray[np.float32]:
        """Standard deviation over a frame, (T,)."""
        contrast: NDArray[np.float32] = self.grey.std(axis=(1, 2))
        return contrast

    @cached_property
    def flow(self) -> Flow:
        """Optical flow between neighbouring thumbnails."""
        return measure_flow(self.grey)

    def seconds(self, frame: int) -> str:
        """When a frame is shown, for people."""
        return f"{frame / self.rate_hz:.1f} s"


def camera_of(episode: Episode, wanted: tuple[str, ...] = ()) -> str:
    """The camera to look through: the first of `wanted` that the episode has, or its first colour camera by name."""
    colour = sorted(name for name, frames in episode.cameras.items() if frame_codec(frames.codec).channels == 3)
    for name in wanted or colour:
        if name in colour:
            return name
    raise InputError(f"episode {episode.episode_id!r} has the cameras {colour or 'none'}, none of {list(wanted)}")


def measure(episode: Episode, cameras: tuple[str, ...] = ()) -> JudgedClip:
    """The clip of an episode; raises InputError without a camera, CorruptFileError where a frame does not decode."""
    camera = camera_of(episode, cameras)
    grey, sharpness = [], []
    for frame in _decoded(episode.cameras[camera]):
        plane = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small = thumbnail(plane)
        grey.append(small)
        sharpness.append(float(cv2.Laplacian(plane, cv2.CV_16S, ksize=1).var()))
    return JudgedClip(
        episode=episode,
        camera=camera,
        rate_hz=episode.rate_hz,
        grey=np.stack(grey).astype(np.float32),
        sharpness=np.array(sharpness, np.float32),
    )


def thumbnail(plane: Array) -> Array:
    """A grey frame (H, W) with its longer side at most THUMBNAIL_PX, by area averaging."""
    scale = THUMBNAIL_PX / max(plane.shape)
    if scale >= 1:
        return plane
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    small: Array = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return small


def _decoded(frames: Frames) -> Iterator[Array]:
    """Frames in order, decoded in blocks, so that a film of three hours takes the memory of its thumbnails."""
    for begin in range(0, len(frames), _BLOCK):
        yield from frames.decode(range(begin, min(begin + _BLOCK, len(frames))))


def longest_run(true: NDArray[np.bool_]) -> tuple[int, int]:
    """[first, end) of the longest run of true values; (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    return max(runs, key=lambda run: (run[1] - run[0], -run[0]), default=(0, 0))
