"""What is wrong with the frames of a clip: cuts between shots, black frames, frozen video, frames that do not decode.

A latent action learned or read across a cut describes the new scene and no motion at all, so such pairs are masked.
All tests run on thumbnails, because a clip is decoded for the encoder anyway (method: ours).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError

BEYOND_END, CUT, BLACK, FROZEN, CORRUPT = 1, 2, 4, 8, 16
FLAG_NAMES = {BEYOND_END: "beyond the end", CUT: "cut", BLACK: "black", FROZEN: "frozen", CORRUPT: "corrupt"}
"""Bits of `label/flags/latent`: why a step carries no latent action."""

_THUMBNAIL = (24, 18)


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """Thresholds in grey levels of 255, on thumbnails.

    A cut is a jump between neighbouring frames of at least `cut_jump` that is `cut_ratio` times every other jump within
    `cut_reach` frames. A black frame has no thumbnail pixel above `black_level`. A frame is still when no thumbnail
    pixel moved by more than `still_jump`; a pair whose frames are still throughout is frozen.
    """

    cut_jump: float = 6.0
    cut_ratio: float = 3.0
    cut_reach: int = 4
    black_level: float = 12.0
    still_jump: float = 0.25

    def __post_init__(self) -> None:
        if (
            self.cut_jump <= 0
            or self.cut_ratio <= 1
            or self.cut_reach < 1
            or min(self.black_level, self.still_jump) < 0
        ):
            raise ConfigError(
                "expected cut_jump > 0, cut_ratio > 1, cut_reach >= 1, black_level and still_jump >= 0; got"
                f" {self.cut_jump}, {self.cut_ratio}, {self.cut_reach}, {self.black_level}, {self.still_jump}"
            )


@dataclass(frozen=True)
class ClipCheck:
    """Per frame, (T,) bool: `cut` and `still` speak of the step from the frame before (False at 0)."""

    cut: NDArray[np.bool_]
    black: NDArray[np.bool_]
    still: NDArray[np.bool_]
    corrupt: NDArray[np.bool_]


def check_frames(
    frames: NDArray[np.uint8], *, corrupt: NDArray[np.bool_] | None = None, config: CutConfig | None = None
) -> ClipCheck:
    """Check decoded frames (T, H, W, 3); `corrupt` (T,) names those that did not decode."""
    config = config or CutConfig()
    corrupt = np.zeros(len(frames), bool) if corrupt is None else corrupt
    thumbnails = np.stack([cv2.resize(frame, _THUMBNAIL, interpolation=cv2.INTER_AREA) for frame in frames])
    small = thumbnails.astype(np.float32)
    black = small.max(axis=(1, 2, 3)) <= config.black_level
    moved = np.abs(np.diff(small, axis=0, prepend=small[:1]))
    largest = moved.max(axis=(1, 2, 3))
    still = (largest <= config.still_jump) & (np.arange(len(frames)) > 0)
    cut = _jumps(moved.mean(axis=(1, 2, 3)), config)
    # A black or undecodable frame is a fault of its own; the steps into and out of it are no cuts.
    beside = black | corrupt
    cut &= ~(beside | np.r_[False, beside[:-1]])
    return ClipCheck(cut=cut, black=black & ~corrupt, still=still & ~corrupt, corrupt=corrupt)


def _jumps(change: NDArray[np.float32], config: CutConfig) -> NDArray[np.bool_]:
    """Where the mean change (T,) stands out from all its neighbours."""
    reach = config.cut_reach
    padded = np.pad(change, reach)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).copy()
    around[:, reach] = 0.0
    found: NDArray[np.bool_] = (change >= config.cut_jump) & (change >= config.cut_ratio * around.max(axis=1))
    return found


def pair_flags(check: ClipCheck, later: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Why the pair (t, later[t]) carries no latent action, (T,) uint8 of bits; 0 is a good pair.

    `later` holds -1 where the later moment lies beyond the clip. A cut, or a corrupt or black frame at either end,
    spoils a pair; so does a clip that stands still from t to later[t].
    """
    now = np.arange(len(later))
    inside = later >= 0
    end = np.where(inside, later, now)
    cuts = np.cumsum(check.cut)
    moves = np.cumsum(~check.still)
    flags = np.where(inside, 0, BEYOND_END)
    flags |= np.where(inside & (cuts[end] > cuts), CUT, 0)
    flags |= np.where(check.black | check.black[end], BLACK, 0)
    flags |= np.where(inside & (moves[end] == moves), FROZEN, 0)
    flags |= np.where(check.corrupt | check.corrupt[end], CORRUPT, 0)
    return flags.astype(np.uint8)


def flag_shares(flags: NDArray[np.uint8]) -> dict[str, float]:
    """Share of steps that carry each flag, by its name; "valid" is the share without any."""
    shares = {name: float(np.mean(flags & bit > 0)) for bit, name in FLAG_NAMES.items()}
    return {"valid": float(np.mean(flags == 0)), **shares} if len(flags) else {"valid": 0.0}
