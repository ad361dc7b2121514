"""What the frames of a clip tell before any model looks at them: dark and broken frames, still scenes, cuts between
shots, a camera that moves.

A label that is read across a cut, from a picture that stands still or from a camera that pans over a still scene says
nothing of an action. All tests run on thumbnails of frames that are decoded anyway, block by block; what is kept of a
frame are its 1,728 grey pixels, so 20 minutes at 30 Hz take 62 MB (methods: ours; the camera's shift by phase
correlation, Kuglin and Hines 1975).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from storage.errors import ConfigError, SchemaError

_COLOUR_PX, _GREY_PX = (24, 18), (48, 36)
"""Width and height of the thumbnails."""
_BATCH = 512
_CHANGED, _CHANGED_QUARTERS = 1.5, 3
"""Grey levels by which a quarter of the picture differs that shows a change, and how many of the four must."""
Steps = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class FrameCheckConfig:
    """Thresholds in grey levels of 255, on thumbnails.

    A cut is a jump between neighbouring frames of at least `cut_jump` that is `cut_ratio` times every other jump within
    `cut_reach` frames, and that changes at least `cut_spread` of the picture: a lamp that lights is no cut. A frame is
    dark when no pixel is above `black_level`, or when its pixels deviate by less than `least_contrast`. Two frames show
    a still scene when no pixel, averaged over squares of 2 x 2, differs by more than `still_jump`: what compression
    does to a scene in which nothing moves stays below it. A camera moves when shifting one frame by at least
    `least_shift_px` thumbnail pixels leaves less than `camera_share` of the change.
    """

    cut_jump: float = 6.0
    cut_ratio: float = 3.0
    cut_reach: int = 4
    cut_spread: float = 0.15
    black_level: float = 12.0
    least_contrast: float = 3.0
    still_jump: float = 2.0
    camera_share: float = 0.5
    least_shift_px: float = 0.4

    def __post_init__(self) -> None:
        good = (
            self.cut_jump > 0
            and self.cut_ratio > 1
            and self.cut_reach >= 1
            and 0 <= min(self.camera_share, self.cut_spread) <= 1
        )
        if not good or min(self.black_level, self.least_contrast, self.still_jump, self.least_shift_px) < 0:
            raise ConfigError(
                "FrameCheckConfig wants cut_jump > 0, cut_ratio > 1, cut_reach >= 1, camera_share in 0..1 and no"
                f" negative threshold; got {self}"
            )


class FrameScan:
    """Takes the frames of a clip of `steps` frames, in order and in blocks, and gives a `ClipCheck`."""

    def __init__(self, steps: int, config: FrameCheckConfig | None = None) -> None:
        self.config = config or FrameCheckConfig()
        self._grey = np.zeros((steps, _GREY_PX[1], _GREY_PX[0]), np.uint8)
        self._dark, self._corrupt = np.zeros(steps, bool), np.zeros(steps, bool)
        self._change, self._wide = np.zeros(steps, np.float32), np.zeros(steps, bool)
        self._last: NDArray[np.int16] | None = None
        self._done = 0

    def add(self, images: NDArray[np.uint8], corrupt: Mask | None = None) -> None:
        """The next frames (N, H, W, 3); `corrupt` (N,) names those that did not decode."""
        if not len(images):
            return
        rows = slice(self._done, self._done + len(images))
        self._done = rows.stop
        colour = _shrunk(images, _COLOUR_PX).astype(np.int16)
        self._grey[rows] = _shrunk(_grey_of(images), _GREY_PX)
        broken = np.zeros(len(images), bool) if corrupt is None else np.asarray(corrupt, bool)
        flat = self._grey[rows].std(axis=(1, 2)) < self.config.least_contrast
        nothing = (colour.max(axis=(1, 2, 3)) <= self.config.black_level) | flat
        self._dark[rows], self._corrupt[rows] = nothing & ~broken, broken
        if self._last is not None:
            colour = np.concatenate([self._last, colour])
        jump = np.abs(np.diff(colour, axis=0))
        wide = (jump.max(axis=3) > self.config.cut_jump).mean(axis=(1, 2)) >= self.config.cut_spread
        changed = slice(rows.stop - len(jump), rows.stop)
        self._change[changed], self._wide[changed] = jump.mean(axis=(1, 2, 3)), wide
        self._last = colour[-1:]

    def check(self) -> "ClipCheck":
        """What was found; raises SchemaError when frames are missing."""
        if self._done != len(self._grey):
            raise SchemaError(f"a scan of {len(self._grey)} frames was given {self._done}")
        cut = _jumps(self._change, self.config) & self._wide
        # A dark or undecodable frame is a fault of its own; the steps into and out of it are no cuts.
        beside = self._dark | self._corrupt
        cut &= ~(beside | np.r_[False, beside[:-1]])
        return ClipCheck(cut=cut, dark=self._dark, corrupt=self._corrupt, grey=self._grey, config=self.config)


@dataclass(frozen=True, kw_only=True)
class ClipCheck:
    """Per frame, (T,) bool: `cut` speaks of the step from the frame before (False at 0). `grey` (T, h, w) are the
    thumbnails that pairs of frames are compared by."""

    cut: Mask
    dark: Mask
    corrupt: Mask
    grey: NDArray[np.uint8]
    config: FrameCheckConfig

    def thumbnails(self) -> NDArray[np.float32]:
        """Grey thumbnails (T, 18, 24) of all frames."""
        height, width = self.grey.shape[1] // 2, self.grey.shape[2] // 2
        pooled = np.empty((len(self.grey), height, width), np.float32)
        for rows in _batches(len(self.grey)):
            pooled[rows] = _pooled(self.grey[rows])
        return pooled

    def across_cut(self, now: Steps, later: Steps) -> Mask:
        """Whether the shot changes between the frames `now` and `later` (N,)."""
        before = np.cumsum(self.cut)
        crossed: Mask = before[later] > before[now]
        return crossed

    def still(self, now: Steps, later: Steps) -> Mask:
        """Whether the frames `now` and `later` (N,), and the one in the middle, show the same picture."""
        is_still = np.zeros(len(now), bool)
        for rows in _batches(len(now)):
            first = _pooled(self.grey[now[rows]])
            is_still[rows] = self._same(first, later[rows]) & self._same(first, (now[rows] + later[rows]) // 2)
        return is_still

    def _same(self, first: NDArray[np.float32], other: Steps) -> Mask:
        same: Mask = np.abs(_pooled(self.grey[other]) - first).max(axis=(1, 2)) <= self.config.still_jump
        return same

    def frozen(self, *, least: int) -> Mask:
        """Frames (T,) of stretches of at least `least` + 1 frames in which the picture stands still."""
        steps = len(self.grey)
        marks = np.zeros(steps + 1, np.int64)
        if steps > least:
            begin = np.flatnonzero(self.still(np.arange(steps - least), np.arange(least, steps)))
            np.add.at(marks, begin, 1)
            np.add.at(marks, begin + least + 1, -1)
        inside: Mask = np.cumsum(marks[:-1]) > 0
        return inside

    def camera_moves(self, now: Steps, later: Steps) -> Mask:
        """Whether the change from `now` to `later` (N,) is mostly a shift of the whole picture."""
        moves = np.zeros(len(now), bool)
        for rows in _batches(len(now)):
            first, second = self.grey[now[rows]].astype(np.float32), self.grey[later[rows]].astype(np.float32)
            shifts = phase_shifts(first, second)
            far = np.linalg.norm(shifts, axis=1) >= self.config.least_shift_px
            for place in np.flatnonzero(far):
                share = shifted_whole(first[place], second[place], shifts[place], most_left=self.config.camera_share)
                moves[rows.start + place] = share
        return moves


def pair_flags_of(check: ClipCheck, now: Steps, later: Steps) -> dict[str, Mask]:
    """By name, which of the pairs (N,) are spoilt, and by what."""
    return {
        "corrupt": check.corrupt[now] | check.corrupt[later],
        "dark": check.dark[now] | check.dark[later],
        "cut": check.across_cut(now, later),
        "frozen": check.still(now, later),
        "camera motion": check.camera_moves(now, later),
    }


def phase_shifts(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """By how many pixels (N, 2), to the right and down, the pictures `second` (N, h, w) are shifted against `first`."""
    height, width = first.shape[1:]
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    spectra = [scipy.fft.rfft2((each - each.mean(axis=(1, 2), keepdims=True)) * window) for each in (first, second)]
    cross = spectra[1] * spectra[0].conj()
    surface = scipy.fft.irfft2(cross / (np.abs(cross) + 1e-3), s=(height, width))
    peak = surface.reshape(len(first), -1).argmax(axis=1)
    down, right = peak // width, peak % width
    return np.stack([_refined(surface, down, right, axis=2), _refined(surface, down, right, axis=1)], axis=1)


def _refined(surface: NDArray[Any], down: Steps, right: Steps, *, axis: int) -> NDArray[np.float64]:
    """The peak's place along one axis, signed, to parts of a pixel by a parabola through its neighbours."""
    size, rows = surface.shape[axis], np.arange(len(surface))
    at = right if axis == 2 else down

    def value(offset: int) -> NDArray[np.float64]:
        place = (at + offset) % size
        values: NDArray[np.float64] = surface[rows, down, place] if axis == 2 else surface[rows, place, right]
        return values

    before, here, after = value(-1), value(0), value(1)
    bend = 2 * here - before - after
    part = np.where(bend > 1e-9, (after - before) / (2 * np.where(bend > 1e-9, bend, 1)), 0.0)
    place: NDArray[np.float64] = np.where(at > size // 2, at - size, at) + np.clip(part, -0.5, 0.5)
    return place


def shifted_whole(
    first: NDArray[np.float32], second: NDArray[np.float32], shift: NDArray[np.float64], *, most_left: float
) -> bool:
    """Whether shifting the picture `first` (h, w) by `shift` (right, down) leaves less than `most_left` of its
    difference to `second`, and makes the difference smaller in each quarter that shows one, three at least: what
    moves in front of a camera that stands still does neither."""
    height, width = first.shape
    x, y = (int(np.ceil(abs(part))) + 1 for part in shift)
    if 2 * x >= width or 2 * y >= height:
        return False
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(first, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inner = (slice(y, height - y), slice(x, width - x))
    before, after = np.abs(second[inner] - first[inner]), np.abs(second[inner] - moved[inner])
    if after.mean() >= most_left * max(float(before.mean()), 1e-6):
        return False
    rows, columns = (size // 2 for size in before.shape)
    quarters = [
        (down, right) for down in (slice(rows), slice(rows, None)) for right in (slice(columns), slice(columns, None))
    ]
    changed = [quarter for quarter in quarters if before[quarter].mean() > _CHANGED]
    smaller = all(after[quarter].mean() < 0.8 * before[quarter].mean() for quarter in changed)
    return smaller and len(changed) >= _CHANGED_QUARTERS


def _jumps(change: NDArray[np.float32], config: FrameCheckConfig) -> Mask:
    """Where the mean change (T,) stands out from all its neighbours."""
    reach = config.cut_reach
    around = np.lib.stride_tricks.sliding_window_view(np.pad(change, reach), 2 * reach + 1).copy()
    around[:, reach] = 0.0
    jumps: Mask = (change >= config.cut_jump) & (change >= config.cut_ratio * around.max(axis=1))
    return jumps


def _pooled(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means over squares of 2 x 2 pixels, (N, h / 2, w / 2)."""
    rows = grey[:, 0::2].astype(np.uint16) + grey[:, 1::2]
    pooled: NDArray[np.float32] = (rows[:, :, 0::2] + rows[:, :, 1::2]).astype(np.float32)
    pooled *= 0.25
    return pooled


def _grey_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W) of (N, H, W, 3): all frames in one call, one below the other, as in `_shrunk`."""
    grey: NDArray[np.uint8] = cv2.cvtColor(_column(images), cv2.COLOR_RGB2GRAY).reshape(images.shape[:3])
    return grey


def _shrunk(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Area averages (N, h, w, ...) of all frames. A frame becomes whole rows of the result, so a column of frames gives
    to the bit what one by one they give; only frames that must grow would run into one another."""
    width, height = size
    if images.shape[1] < height or images.shape[2] < width:
        alone: NDArray[np.uint8] = np.stack([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in images])
        return alone
    shrunk = cv2.resize(_column(images), (width, len(images) * height), interpolation=cv2.INTER_AREA)
    small: NDArray[np.uint8] = shrunk.reshape(len(images), height, width, *images.shape[3:])
    return small


def _column(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (N, H, W, ...) as one picture (N H, W, ...)."""
    count, height, *rest = images.shape
    return np.ascontiguousarray(images).reshape(count * height, *rest)


def _batches(count: int) -> Iterator[slice]:
    return (slice(begin, begin + _BATCH) for begin in range(0, count, _BATCH))
