"""A clip as the latent action model sees it: frames of one size, good pairs, and why the other steps make none."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa.fitting.frame_pairs import WindowConfig, later_steps
from lapa.labelling.frame_flags import ClipCheck, CutConfig, check_frames, pair_flags
from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError
from storage.frames import Frames, frame_codec

log = logging.getLogger(__name__)

Images = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """How episodes become clips.

    `cameras` in order of preference; empty means the first by name. `mask_camera` is a camera of single-plane images
    that are above 0 where hands and arms are. `keep_decoded` holds the frames of a clip in memory at the model's size
    once they are decoded; without it they are decoded anew for every batch.
    """

    cameras: tuple[str, ...] = ()
    mask_camera: str = ""
    windows: WindowConfig = field(default_factory=WindowConfig)
    cuts: CutConfig = field(default_factory=CutConfig)
    keep_decoded: bool = True

    def camera_of(self, episode: Episode) -> str:
        """The camera to look through; raises InputError when the episode has none that is wanted."""
        colour = sorted(name for name, frames in episode.cameras.items() if frame_codec(frames.codec).channels == 3)
        if not colour:
            raise InputError(f"episode {episode.episode_id!r} has no video; a latent action needs frames")
        for name in self.cameras:
            if name in colour:
                return name
        if self.cameras:
            raise InputError(f"episode {episode.episode_id!r} has the cameras {colour}, none of {list(self.cameras)}")
        return colour[0]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One episode through one camera. `later` (T,) is the other frame of each step's pair or -1; `flags` (T,) says why
    a step makes no pair (see `lapa.labelling.frame_flags`), 0 where it makes a good one."""

    episode: Episode
    camera: str
    window_s: float
    later: NDArray[np.int64]
    flags: NDArray[np.uint8]
    frames_of: Callable[[Sequence[int]], Images]
    masks_of: Callable[[Sequence[int]], Images] | None = None

    @property
    def source(self) -> str:
        """What clips are grouped by in tables: layer and embodiment."""
        return f"{self.episode.layer}/{self.episode.embodiment}"

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """Steps that make a good pair, (P,)."""
        return np.flatnonzero(self.flags == 0)


def read_clip(episode: Episode, size_px: tuple[int, int], config: ClipConfig) -> Clip:
    """`episode` as a clip with frames of `size_px` (height, width). Raises InputError when it cannot make any pair."""
    camera = config.camera_of(episode)
    frames = episode.cameras[camera]
    images, corrupt = decode_resized(frames, size_px)
    window_s = config.windows.seconds_of(episode)
    later = later_steps(episode.timestamps(), window_s, tolerance=config.windows.tolerance)
    if (later < 0).all():
        raise InputError(
            f"episode {episode.episode_id!r}: {len(frames)} frames at {episode.rate_hz:g} Hz hold no two that are"
            f" {window_s:g} s apart"
        )
    check = check_frames(images, corrupt=corrupt, config=config.cuts)
    return Clip(
        episode=episode,
        camera=camera,
        window_s=window_s,
        later=later,
        flags=pair_flags(_without_recorded_faults(check, episode), later),
        frames_of=_kept(images) if config.keep_decoded else _decoding(frames, size_px),
        masks_of=_masks(episode, size_px, config),
    )


def read_clips(episodes: Iterable[Episode], size_px: tuple[int, int], config: ClipConfig) -> Iterator[Clip]:
    """The clips of all episodes that make pairs; what makes none is logged with its reason."""
    for episode in episodes:
        try:
            yield read_clip(episode, size_px, config)
        except ConfigError:
            raise
        except InputError as error:
            log.warning("left out: %s", error)


def decode_resized(frames: Frames, size_px: tuple[int, int]) -> tuple[Images, NDArray[np.bool_]]:
    """All frames at `size_px`, (T, h, w, 3), and which of them do not decode (T,); those are black.

    The picture is stretched to the size: what matters is that both frames of a pair are treated alike.
    """
    images = np.zeros((len(frames), *size_px, 3), np.uint8)
    corrupt = np.zeros(len(frames), bool)
    for step in range(len(frames)):
        try:
            images[step] = resized(frames.decode([step])[0], size_px)
        except CorruptFileError:
            corrupt[step] = True
    return images, corrupt


def resized(image: NDArray[np.uint8] | NDArray[np.uint16], size_px: tuple[int, int]) -> Images:
    """`image` at `size_px` (height, width), by area."""
    if image.shape[:2] == tuple(size_px):
        return image.astype(np.uint8, copy=False)
    smaller = image.shape[0] > size_px[0]
    scaled: Images = cv2.resize(image, size_px[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return scaled


def _without_recorded_faults(check: ClipCheck, episode: Episode) -> ClipCheck:
    """Steps that the source itself marks invalid spoil pairs as undecodable frames do."""
    valid = episode.arrays.get("valid")
    if valid is None:
        return check
    return ClipCheck(cut=check.cut, black=check.black, still=check.still, corrupt=check.corrupt | ~valid)


def _kept(images: Images) -> Callable[[Sequence[int]], Images]:
    def frames_of(steps: Sequence[int]) -> Images:
        taken: Images = images[np.asarray(steps, np.int64)]
        return taken

    return frames_of


def _decoding(frames: Frames, size_px: tuple[int, int]) -> Callable[[Sequence[int]], Images]:
    def frames_of(steps: Sequence[int]) -> Images:
        return np.stack([resized(frames.decode([int(step)])[0], size_px) for step in steps])

    return frames_of


def _masks(episode: Episode, size_px: tuple[int, int], config: ClipConfig) -> Callable[[Sequence[int]], Images] | None:
    """The masks of steps, (N, h, w) uint8 of 0 and 1, if the episode has any."""
    frames = episode.cameras.get(config.mask_camera) if config.mask_camera else None
    if frames is None:
        return None

    def masks_of(steps: Sequence[int]) -> Images:
        planes = (frames.decode([int(step)])[0] for step in steps)
        found = [
            cv2.resize((plane > 0).astype(np.uint8), size_px[::-1], interpolation=cv2.INTER_AREA) for plane in planes
        ]
        return np.stack(found)

    return masks_of
