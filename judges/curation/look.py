"""Looking at a segment of video: one decode from front to back, in which every frame is measured and stored once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.curation.cut_finders.cut_finder import make_cut_finder
from judges.curation.frame_measures import MeasureFrames, Measures
from judges.curation.watch_config import WatchConfig
from judges.hands.landmarks import HandFinder
from judges.hands.recorded import pose_labels, read_poses
from judges.hands.tracks import HandTracks
from storage.errors import CorruptFileError, SchemaError
from storage.formats.hand_poses.poses import HandPoses
from storage.formats.human_video.frame_grid import GridFrame, grid_frames
from storage.formats.human_video.segment_item import SegmentItem
from storage.formats.video.clip import number_in_file
from storage.formats.video.key_frames import key_frames
from storage.formats.video.pixels import to_rgb
from storage.formats.video.reader import VideoInfo, probe
from storage.formats.video.source_frames import FrameKeeper
from storage.frames import Frames, frame_codec
from storage.pictures.resizing import RGB, Resize
from storage.pictures.source_frame import SourceFrame

LOOKS_JOINED = 2.5
"""Hands between two looks are filled in when no more than so many looks lie between them."""


@dataclass(frozen=True)
class Seen:
    """What a segment holds, of T steps. `seconds` are the time stamps in the file, `source_frame` (T,) the numbers in
    the file. `hands` are the arrays of `HandTracks`, those of recorded `poses` where there are any, {} where nobody
    looked. `damage` says why decoding stopped early."""

    frames: Frames
    seconds: tuple[Fraction, ...]
    source_frame: NDArray[np.int64]
    measures: Measures
    hands: dict[str, NDArray[Any]] = field(default_factory=dict)
    poses: HandPoses | None = None
    damage: str = ""


class Look:
    """Looks at segments as `config` says. `blur` takes and gives an image (H, W, 3)."""

    def __init__(self, config: WatchConfig, finder: HandFinder | None, blur: Callable[[RGB], RGB] | None) -> None:
        self._config, self._finder, self._blur = config, finder, blur
        self._cuts = make_cut_finder(config.spans.cuts)

    def __call__(self, item: SegmentItem, *, reference: bool) -> Seen:
        """The segment. Raises InputError and its kinds where not even one frame can be had."""
        info = probe(item.path)
        size_px = stored_size(info, self._config)
        rate = item.rate_fraction
        work = _Work(self, item, rate, size_px, reference)
        damage = ""
        try:
            for step in grid_frames(
                item.path,
                rate=rate,
                tail=max(Fraction(0), 1 / info.rate - 1 / (2 * rate)),
                start_s=item.start_s,
                stop_s=float("inf") if item.stop_s is None else item.stop_s,
            ):
                work.take(step)
        except CorruptFileError as error:
            if not work.seconds:
                raise
            damage = str(error)
        if not work.seconds:
            raise SchemaError(
                f"{item.path} has no frame from {item.start_s:.2f} s on; it lasts {info.duration_s:.2f} s"
            )
        return work.finish(damage)


def stored_size(info: VideoInfo, config: WatchConfig) -> tuple[int, int]:
    """(height, width) that frames of a video are stored in: the shorter side as configured, never enlarged.

    Raises SchemaError for a video that is too small to show anything."""
    height, width = info.height_px, info.width_px
    if min(height, width) < config.smallest_px:
        raise SchemaError(
            f"{info.path} is {width}x{height} px, smaller than smallest_px = {config.smallest_px}; leave it out"
        )
    short = config.short_side_px
    if not short or min(height, width) <= short:
        return height, width
    scale = short / min(height, width)
    return round(height * scale), round(width * scale)


class _Work:
    """One segment while it is being decoded."""

    def __init__(
        self, look: Look, item: SegmentItem, rate: Fraction, size_px: tuple[int, int], reference: bool
    ) -> None:
        config = look._config
        self._look, self._item, self._size_px, self._reference = look, item, size_px, reference
        self._finder = None if item.poses else look._finder
        self._resize = Resize(size_px=size_px)
        self._encode = frame_codec(config.codec).encode
        self._measure = MeasureFrames(float(rate), config.camera, look._cuts)
        self._every = max(1, round(float(rate) / config.hands.looks_hz))
        self._tracks = HandTracks(float(rate), LOOKS_JOINED / config.hands.looks_hz)
        self._payloads: list[bytes] = []
        self._orders: list[int] = []
        self._keys = key_frames(item.path) if reference else None
        self._keeper = FrameKeeper(item.path, size_px) if reference else None
        self.seconds: list[Fraction] = []

    def take(self, step: GridFrame) -> None:
        """Measure, store and look for hands in one frame."""
        place = len(self.seconds)
        if step.fresh or not place:
            self._take_fresh(step, place)
        else:
            self._measure.add(np.empty((0, 0, 3), np.uint8), piece=step.piece, fresh=False)
            self._payloads.append(self._payloads[-1])
        self.seconds.append(step.seconds)
        self._orders.append(step.order)

    def _take_fresh(self, step: GridFrame, place: int) -> None:
        image = to_rgb(step.frame, self._resize)
        self._measure.add(image, piece=step.piece, fresh=True)
        finder, blur = self._finder, self._look._blur
        if finder is not None and place % self._every == 0:
            # Hands are small: they are looked for in the frame as it was recorded.
            self._tracks.add(place, finder(to_rgb(step.frame)))
        if self._keys is not None and self._keeper is not None:
            group = self._keys.group_of(step.seconds)
            named = SourceFrame(self._item.root, self._item.file, step.seconds, group)
            self._keeper.add(named, image)
            self._payloads.append(named.payload())
        else:
            self._payloads.append(self._encode(blur(image) if blur is not None else image))

    def finish(self, damage: str) -> Seen:
        if self._keeper is not None:
            self._keeper.close()
        height, width = self._size_px
        codec = "reference" if self._reference else self._look._config.codec
        steps = len(self.seconds)
        source_frame = np.array(self._orders, np.int64) + number_in_file(self._item.path, self.seconds[0])
        poses = read_poses(Path(self._item.root) / self._item.poses, source_frame) if self._item.poses else None
        hands = pose_labels(poses) if poses is not None else {}
        return Seen(
            frames=Frames(payloads=self._payloads, height_px=height, width_px=width, codec=codec),
            seconds=tuple(self.seconds),
            source_frame=source_frame,
            measures=self._measure.finish(),
            hands=self._tracks.finish(steps) if self._finder is not None else hands,
            poses=poses,
            damage=damage,
        )
