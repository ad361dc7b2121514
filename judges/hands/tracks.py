"""Hands of a whole clip from looks at some of its frames: what was seen, what lies between, and how sure that is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from judges.hands.landmarks import JOINTS, Hand

LEFT_PRESENT, RIGHT_PRESENT, LEFT_OBSERVED, RIGHT_OBSERVED, LEFT_RELIABLE, RIGHT_RELIABLE = 1, 2, 4, 8, 16, 32
HAND_FLAGS = {
    LEFT_PRESENT: "left present",
    RIGHT_PRESENT: "right present",
    LEFT_OBSERVED: "left observed",
    RIGHT_OBSERVED: "right observed",
    LEFT_RELIABLE: "left reliable",
    RIGHT_RELIABLE: "right reliable",
}
"""Bits of `label/flags/hands`. Present: the hand is in view. Observed: it was seen in this very frame, not only before
and after. Reliable: seen or between two sure looks, and moving no faster than a hand can."""

SURE = 0.9
FASTEST = 4.0
"""Image widths a second; what jumps faster is another hand, or a mistake."""


class HandTracks:
    """Collects looks, in order of the steps, at `rate_hz`. Two looks at most `gap_s` apart are joined."""

    def __init__(self, rate_hz: float, gap_s: float) -> None:
        self._rate_hz, self._gap = rate_hz, max(1, round(gap_s * rate_hz))
        self._looks: dict[int, Sequence[Hand]] = {}

    def add(self, step: int, hands: Sequence[Hand]) -> None:
        """At `step` these hands were seen, none if empty."""
        self._looks[step] = hands

    def finish(self, steps: int) -> dict[str, NDArray[np.generic]]:
        """The arrays of `steps` steps: label/hand_landmarks (F, 2, 21, 3), label/confidence/hands (F, 2),
        label/flags/hands (F,). Where no hand is, landmarks and confidence are zero."""
        landmarks = np.zeros((steps, 2, JOINTS, 3), np.float32)
        confidence = np.zeros((steps, 2), np.float32)
        flags = np.zeros(steps, np.uint8)
        for side in (0, 1):
            self._fill(side, landmarks[:, side], confidence[:, side], flags)
        return {"label/hand_landmarks": landmarks, "label/confidence/hands": confidence, "label/flags/hands": flags}

    def _fill(
        self,
        side: int,
        landmarks: NDArray[np.float32],
        confidence: NDArray[np.float32],
        flags: NDArray[np.uint8],
    ) -> None:
        present, observed, reliable = (bit << side for bit in (LEFT_PRESENT, LEFT_OBSERVED, LEFT_RELIABLE))
        before: tuple[int, Hand] | None = None
        for step, hands in self._looks.items():
            hand = next((each for each in hands if each.right == bool(side)), None)
            if hand is None:
                before = None
                continue
            landmarks[step], confidence[step] = hand.landmarks, hand.score
            flags[step] |= present | observed | (reliable if hand.score >= SURE else 0)
            if before is not None and 1 < step - before[0] <= self._gap:
                self._between(before, (step, hand), landmarks, confidence, flags, present, reliable)
            before = (step, hand)

    def _between(
        self,
        one: tuple[int, Hand],
        two: tuple[int, Hand],
        landmarks: NDArray[np.float32],
        confidence: NDArray[np.float32],
        flags: NDArray[np.uint8],
        present: int,
        reliable: int,
    ) -> None:
        """Fill the steps between two looks, unless the hand would have had to jump."""
        (first, earlier), (last, later) = one, two
        speed = np.linalg.norm(later.landmarks[0, :2] - earlier.landmarks[0, :2]) * self._rate_hz / (last - first)
        if speed > FASTEST:
            flags[[first, last]] &= np.uint8(0xFF ^ reliable)
            return
        share = np.arange(1, last - first, dtype=np.float32) / (last - first)
        inside = slice(first + 1, last)
        landmarks[inside] = earlier.landmarks + share[:, None, None] * (later.landmarks - earlier.landmarks)
        confidence[inside] = min(earlier.score, later.score)
        flags[inside] |= np.uint8(present | (reliable if min(earlier.score, later.score) >= SURE else 0))


def any_hand(flags: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a hand is in view, (F,)."""
    return (flags & (LEFT_PRESENT | RIGHT_PRESENT)) > 0


def wrist_speed(landmarks: NDArray[np.float32], flags: NDArray[np.uint8], rate_hz: float) -> NDArray[np.float32]:
    """How fast the faster wrist moves, (F,) image widths a second, 0 where no hand is in view."""
    speed = np.zeros(len(flags), np.float32)
    for side in (0, 1):
        there = (flags & (LEFT_PRESENT << side)) > 0
        moved = np.linalg.norm(np.diff(landmarks[:, side, 0, :2], axis=0, append=landmarks[-1:, side, 0, :2]), axis=1)
        both = there & np.r_[there[1:], False]
        speed = np.maximum(speed, np.where(both, moved * rate_hz, 0.0)).astype(np.float32)
    return speed
