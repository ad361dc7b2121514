"""What is measured of every frame while a video is decoded once: everything that the rules of curation need later.

Memory is about 10 kB a frame. Nothing here decides; `spans` and `clip_verdicts` do.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from judges.curation.camera_motion import STILL, CameraMotionConfig, CameraStep, camera_step, residual, shift_length
from judges.curation.cut_finders.cut_finder import CutFinder
from judges.curation.cuts import THUMBNAIL_PX
from storage.pictures.resizing import RGB

SMALL_WIDTH_PX = 80


@dataclass(frozen=True)
class Measures:
    """Of T steps. `thumbnails` (T, 18, 24, 3) float32 and `small` (T, h, 80) uint8 show the frames; `piece` (T,) counts
    stretches without a gap in time; `fresh` (T,) is False at a step that repeats the frame before.

    `camera` (T, 9) is the homography from each frame to the next (identity at the last and where `camera_valid` is
    False), `agreement` (T,) the share of corners that follow it, `camera_speed` (T,) how far the corners move in image
    widths a second, `residual` (T,) the mean change in grey levels that the camera does not explain.

    `cut` (T,) is True at the frames that begin a shot and `fade` (T,) between two shots, where another finder than ours
    was asked (`judges.curation.cut_finders`) and knows of them; None where the thumbnails tell.
    """

    thumbnails: NDArray[np.float32]
    small: NDArray[np.uint8]
    piece: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    camera: NDArray[np.float32]
    camera_valid: NDArray[np.bool_]
    agreement: NDArray[np.float32]
    camera_speed: NDArray[np.float32]
    residual: NDArray[np.float32]
    cut: NDArray[np.bool_] | None = None
    fade: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.piece)


@dataclass
class MeasureFrames:
    """Takes the frames of a stretch of video one by one, at `rate_hz`. `cuts` finds borders; None: ours does."""

    rate_hz: float
    config: CameraMotionConfig = field(default_factory=CameraMotionConfig)
    cuts: CutFinder | None = None

    def __post_init__(self) -> None:
        self._thumbnails: list[NDArray[np.uint8]] = []
        self._small: list[NDArray[np.uint8]] = []
        self._for_cuts: list[NDArray[np.uint8]] = []
        self._piece: list[int] = []
        self._fresh: list[bool] = []
        self._steps: list[CameraStep] = []
        self._rest: list[float] = []
        self._speed: list[float] = []
        self._gray: NDArray[np.uint8] | None = None

    def add(self, image: RGB, *, piece: int, fresh: bool) -> None:
        """The next step shows `image` (H, W, 3)."""
        if not fresh:
            self._thumbnails.append(self._thumbnails[-1])
            self._small.append(self._small[-1])
            self._append_motion(STILL, 0.0, 0.0, first=False)
        else:
            gray = _gray(image, self.config.width_px)
            self._thumbnails.append(_resized(image, THUMBNAIL_PX))
            if self.cuts is not None:
                self._for_cuts.append(_resized(image, self.cuts.size_px))
            self._small.append(_resized(gray, (max(2, round(SMALL_WIDTH_PX * _aspect(image))), SMALL_WIDTH_PX)))
            self._compare(gray, same_piece=bool(self._piece) and self._piece[-1] == piece)
            self._gray = gray
        self._piece.append(piece)
        self._fresh.append(fresh)

    def _compare(self, gray: NDArray[np.uint8], *, same_piece: bool) -> None:
        if not same_piece or self._gray is None or self._gray.shape != gray.shape:
            self._append_motion(STILL, 0.0, 0.0, first=not self._piece)
            return
        step = camera_step(self._gray, gray, self.config)
        rest = residual(self._small[-2], self._small[-1], step.homography)
        speed = shift_length(step.homography, gray.shape[0] / gray.shape[1]) * self.rate_hz
        self._append_motion(step, rest, speed, first=False)

    def _append_motion(self, step: CameraStep, rest: float, speed: float, *, first: bool) -> None:
        """The motion belongs to the frame that it starts from; the first frame has none before it."""
        if not first:
            self._steps.append(step)
            self._rest.append(rest)
            self._speed.append(speed)

    def finish(self) -> Measures:
        """Everything, at least one step."""
        steps = [*self._steps, STILL]
        piece, fresh = np.array(self._piece, np.int64), np.array(self._fresh, bool)
        cut, fade = self._borders(piece, fresh)
        return Measures(
            thumbnails=np.stack(self._thumbnails).astype(np.float32),
            small=np.stack(self._small),
            piece=piece,
            fresh=fresh,
            camera=np.stack([step.homography.reshape(9) for step in steps]).astype(np.float32),
            camera_valid=np.array([step.valid for step in steps], bool),
            agreement=np.array([step.agreement for step in steps], np.float32),
            camera_speed=np.array([*self._speed, 0.0], np.float32),
            residual=np.array([*self._rest, 0.0], np.float32),
            cut=cut,
            fade=fade,
        )

    def _borders(
        self, piece: NDArray[np.int64], fresh: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
        """`cut` and `fade` of all steps, from the frames without their repeats."""
        if self.cuts is None:
            return None, None
        images, places = np.stack(self._for_cuts), np.flatnonzero(fresh)
        cut, fade = np.zeros(len(piece), bool), np.zeros(len(piece), bool)
        knows_fades = True
        for number in np.unique(piece[places]):
            of_piece = piece[places] == number
            borders = self.cuts(images[of_piece], self.rate_hz)
            steps = places[of_piece]
            cut[steps[borders.cuts]] = True
            knows_fades = borders.fades is not None
            for first, end in borders.fades or ():
                fade[steps[first] : steps[end - 1] + 1] = True
        return cut, fade if knows_fades else None


def _aspect(image: NDArray[np.uint8]) -> float:
    return image.shape[0] / image.shape[1]


def _gray(image: RGB, width_px: int) -> NDArray[np.uint8]:
    """(H, W) grey at `width_px`; a smaller image stays as it is."""
    wide = (
        image if image.shape[1] <= width_px else _resized(image, (max(2, round(width_px * _aspect(image))), width_px))
    )
    return np.asarray(cv2.cvtColor(wide, cv2.COLOR_RGB2GRAY), np.uint8)


def _resized(image: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (size_px[1], size_px[0]), interpolation=cv2.INTER_AREA), np.uint8)
