"""A clip as the latent action model sees it: frames of one size, good pairs, and why the other steps make none.

No frames are kept: what a clip holds of them are the flags of its steps; frames are decoded when they are asked for.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lapa.fitting.frame_pairs import FramePairConfig, later_steps
from lapa.labelling.frame_flags import pair_flags
from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError
from storage.frames import Frames, frame_codec
from storage.pictures.frame_checks import ClipCheck, FrameCheckConfig, FrameScan
from storage.pictures.read_ahead import Reading, blocks
from storage.pictures.resizing import scaled

log = logging.getLogger(__name__)

Images = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """How episodes become clips.

    `cameras` in order of preference; empty means the first by name. `mask_camera` is a camera of single-plane images
    that are above 0 where hands and arms are.
    """

    cameras: tuple[str, ...] = ()
    mask_camera: str = ""
    windows: FramePairConfig = field(default_factory=FramePairConfig)
    cuts: FrameCheckConfig = field(default_factory=FrameCheckConfig)

    def camera_of(self, episode: Episode) -> str:
        """The camera to look through; raises InputError when the episode has none that is wanted."""
        colour = sorted(name for name, frames in episode.cameras.items() if frame_codec(frames.codec).channels == 3)
        if not colour:
            raise InputError(f"episode {episode.episode_id!r} has no video; a latent action needs frames")
        for name in self.cameras:
            if name in colour:
                return name
        if self.cameras:
            raise MissingFileError(
                f"episode {episode.episode_id!r} has the cameras {colour}, none of {list(self.cameras)}"
            )
        return colour[0]


@dataclass(frozen=True, kw_only=True)
class LapaClip:
    """One episode through one camera. `later` (T,) is the other frame of each step's pair or -1; `flags` (T,) says why
    a step makes no pair (see `LabelFlag`), 0 where it makes a good one. `frames_of` decodes frames."""

    episode: Episode
    camera: str
    window_s: float
    later: NDArray[np.int64]
    flags: NDArray[np.uint16]
    frames_of: Callable[[Sequence[int]], Images]

    @property
    def source(self) -> str:
        """What clips are grouped by in tables: layer and embodiment."""
        return f"{self.episode.layer}/{self.episode.embodiment}"

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """Steps that make a good pair, (P,)."""
        return np.flatnonzero(self.flags == 0)


def read_clip(episode: Episode, size_px: tuple[int, int], config: ClipConfig) -> LapaClip:
    """`episode` as a clip with frames of `size_px` (height, width). Raises InputError when it cannot make any pair."""
    camera = config.camera_of(episode)
    frames = episode.cameras[camera]
    window_s, later = window_of(episode, config)
    scan = FrameScan(len(frames), config.cuts)
    for _, parts in blocks(len(frames), lambda steps: decode_resized(frames, size_px, steps), Reading(threads=1)):
        for images, corrupt in parts:
            scan.add(images, corrupt)
    return LapaClip(
        episode=episode,
        camera=camera,
        window_s=window_s,
        later=later,
        flags=pair_flags(with_recorded_faults(scan.check(), episode), later),
        frames_of=lambda steps: decode_resized(frames, size_px, steps)[0],
    )


def window_of(episode: Episode, config: ClipConfig) -> tuple[float, NDArray[np.int64]]:
    """The window of `episode` in seconds, and the later step of each step (T,); raises InputError without any."""
    window_s = config.windows.seconds_of(episode)
    later = later_steps(episode.timestamps(), window_s, tolerance=config.windows.tolerance)
    if (later < 0).all():
        raise InputError(
            f"episode {episode.episode_id!r}: {episode.length} frames at {episode.rate_hz:g} Hz hold no two that are"
            f" {window_s:g} s apart"
        )
    return window_s, later


def read_clips(episodes: Iterable[Episode], size_px: tuple[int, int], config: ClipConfig) -> Iterator[LapaClip]:
    """The clips of all episodes that make pairs; what makes none is logged with its reason."""
    for episode in episodes:
        try:
            yield read_clip(episode, size_px, config)
        except ConfigError:
            raise
        except InputError as error:
            log.warning("left out: %s", error)


def decode_resized(frames: Frames, size_px: tuple[int, int], steps: Sequence[int]) -> tuple[Images, NDArray[np.bool_]]:
    """The frames of `steps` at `size_px`, (N, h, w, 3), and which of them do not decode (N,); those are black.

    The picture is stretched to the size: what matters is that both frames of a pair are treated alike.
    """
    images = np.zeros((len(steps), *size_px, 3), np.uint8)
    corrupt = np.zeros(len(steps), bool)
    for place, step in enumerate(steps):
        try:
            images[place] = scaled(frames.decode([int(step)])[0], size_px)
        except CorruptFileError:
            corrupt[place] = True
    return images, corrupt


def with_recorded_faults(check: ClipCheck, episode: Episode) -> ClipCheck:
    """Steps that the source itself marks invalid spoil pairs as undecodable frames do."""
    valid = episode.arrays.get("valid")
    if valid is None:
        return check
    return replace(check, corrupt=check.corrupt | ~valid)
