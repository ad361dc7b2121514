"""The pictures that a model wants from the pictures that a clip has: cameras by name, or quarters of a 2 x 2 grid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.episode import Episode
from storage.errors import ConfigError, SchemaError
from storage.pictures.resizing import scaled

Image = NDArray[np.uint8]
QUARTERS = ("top_left", "top_right", "bottom_left", "bottom_right")
"""GR00T N1 (arXiv 2503.14734), appendix F: left camera top left, right camera top right, wrist bottom left, black
bottom right."""


NAMELESS = "view"
"""What the camera of a plain video is called, of which nothing is known."""


class ViewFinder:
    """Says where each view of a model comes from in an episode: a camera's name, or "camera:top_left" for a quarter.
    The only view of a model may also come from the only, nameless camera of a plain video."""

    def __init__(self, cameras: Mapping[str, Sequence[str]], size_px: tuple[int, int]) -> None:
        self.cameras, self.size_px = {view: tuple(names) for view, names in cameras.items()}, size_px
        for names in self.cameras.values():
            for name in names:
                quarter = name.partition(":")[2]
                if quarter and quarter not in QUARTERS:
                    raise ConfigError(f"a quarter of a grid is one of {', '.join(QUARTERS)}; got {name!r}")

    def missing(self, episode: Episode) -> list[str]:
        """Views that no camera of the episode fills."""
        return [view for view in self.cameras if self._camera(view, episode) is None]

    def _camera(self, view: str, episode: Episode) -> str | None:
        for name in self.cameras[view]:
            if name.partition(":")[0] in episode.cameras:
                return name
        return NAMELESS if len(self.cameras) == 1 and set(episode.cameras) == {NAMELESS} else None

    def decode(self, episode: Episode, frames: Sequence[int]) -> Image:
        """Frames of every view, (N, V, H, W, 3) uint8 at the model's size, views in the model's order."""
        out = np.empty((len(frames), len(self.cameras), *self.size_px, 3), np.uint8)
        for place, view in enumerate(self.cameras):
            name = self._camera(view, episode)
            if name is None:
                raise SchemaError(f"episode {episode.episode_id!r} has no camera for view {view!r}")
            camera, _, quarter = name.partition(":")
            images = episode.cameras[camera].decode(frames)
            if images.dtype != np.uint8 or images.ndim != 4:
                raise SchemaError(f"camera {camera!r} holds {images.dtype} planes; a model wants colour pictures")
            for row, image in enumerate(images):
                out[row, place] = scaled(quarter_of(image, quarter) if quarter else image, self.size_px)
        return out

    def release(self, episode: Episode, frames: range) -> None:
        """Frames that nobody will look at again: their memory may go."""
        for view in self.cameras:
            name = self._camera(view, episode)
            if name is not None:
                episode.cameras[name.partition(":")[0]].release(frames)


def quarter_of(image: NDArray[Any], quarter: str) -> NDArray[Any]:
    """One quarter of an image (H, W, 3)."""
    half = (image.shape[0] // 2, image.shape[1] // 2)
    vertical, _, horizontal = quarter.partition("_")
    rows = slice(0, half[0]) if vertical == "top" else slice(half[0], 2 * half[0])
    columns = slice(0, half[1]) if horizontal == "left" else slice(half[1], 2 * half[1])
    return image[rows, columns]
