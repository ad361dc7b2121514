"""The frames of a stretch of video on a grid of constant rate, one decode from front to back, memory of one frame.

A video of constant rate read at its own rate gives each of its frames once. Any other gives for each point of the grid
the frame whose time stamp is nearest. Where the source has no frame for longer than `gap_s` the grid ends, and another
begins at the next frame: a pause in a recording is a border, not a still picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from storage.formats.video.reader import decoded


@dataclass(frozen=True)
class GridFrame:
    """One step. `piece` counts the grids, `order` the frames that were decoded before this one, `seconds` is the time
    stamp of the frame in its file, and `fresh` is False where the step repeats the frame of the step before."""

    piece: int
    order: int
    seconds: Fraction
    frame: av.VideoFrame
    fresh: bool


def grid_frames(
    path: Path, *, rate: Fraction, tail: Fraction, start_s: float, stop_s: float, gap_s: float = 2.0
) -> Iterator[GridFrame]:
    """The steps of `path` from `start_s` up to `stop_s` at `rate`. `tail` is how long after its time stamp the last
    frame still fills steps. Raises CorruptFileError where decoding stops; what came before has been yielded."""
    yield from on_grid(decoded(path, start_s=start_s, stop_s=stop_s), rate=rate, tail=tail, gap_s=gap_s)


def on_grid(
    frames: Iterable[tuple[Fraction, av.VideoFrame]], *, rate: Fraction, tail: Fraction, gap_s: float = 2.0
) -> Iterator[GridFrame]:
    """`frames`, (seconds, frame) in order of time, on a grid that begins at the first one of each piece."""
    grid = _Grid(rate)
    latest: Fraction | None = None
    try:
        for order, (seconds, frame) in enumerate(frames):
            if latest is not None and seconds <= latest:
                continue
            if latest is None or seconds - latest > gap_s:
                yield from grid.end(tail)
                grid.begin(order, seconds, frame)
            else:
                yield from grid.until((latest + seconds) / 2)
                grid.take(order, seconds, frame)
            latest = seconds
    finally:
        # Also when decoding stops: what was decoded is complete up to here.
        rest = list(grid.end(tail))
    yield from rest


class _Grid:
    """The frame that fills the next steps, and which step that is."""

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._piece, self._step = -1, 0
        self._zero = Fraction(0)
        self._held: tuple[int, Fraction, av.VideoFrame] | None = None
        self._used = False

    def begin(self, order: int, seconds: Fraction, frame: av.VideoFrame) -> None:
        self._piece, self._step, self._zero = self._piece + 1, 0, seconds
        self.take(order, seconds, frame)

    def take(self, order: int, seconds: Fraction, frame: av.VideoFrame) -> None:
        self._held, self._used = (order, seconds, frame), False

    def until(self, limit: Fraction) -> Iterator[GridFrame]:
        """Steps up to and with `limit` seconds."""
        while self._zero + self._step / self._rate <= limit:
            yield self._next()

    def end(self, tail: Fraction) -> Iterator[GridFrame]:
        """The last steps of the piece."""
        if self._held is None:
            return
        while self._step == 0 or self._zero + self._step / self._rate < self._held[1] + tail:
            yield self._next()
        self._held = None

    def _next(self) -> GridFrame:
        assert self._held is not None
        step = GridFrame(self._piece, *self._held, fresh=not self._used)
        self._used, self._step = True, self._step + 1
        return step
