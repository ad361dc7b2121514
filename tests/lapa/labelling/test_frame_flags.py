"""Cuts, black, frozen and broken frames are found, and they spoil exactly the pairs that touch them."""

import numpy as np

from lapa.fitting.frame_pairs import later_steps
from lapa.labelling.frame_flags import moved_back, pair_flags
from storage.labelling.labels import LabelFlag, step_shares
from storage.pictures.frame_checks import ClipCheck, FrameScan
from storage.testing import tiny_images


def clip(seed: int, steps: int = 20) -> np.ndarray:
    return tiny_images(seed, steps=steps, height_px=48, width_px=64)


def scenery(seed: int) -> np.ndarray:
    """A patchwork that differs from scene to scene, (48, 64, 3)."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return patches.repeat(8, axis=0).repeat(8, axis=1)


def moving(seed: int, steps: int = 20) -> np.ndarray:
    """A scene with a wandering square."""
    frames = np.repeat(scenery(seed)[None], steps, axis=0)
    for step in range(steps):
        frames[step, 10 + step : 20 + step, 2 * step : 2 * step + 12] = 255
    return frames


def check_frames(frames: np.ndarray, *, corrupt: np.ndarray | None = None) -> ClipCheck:
    scan = FrameScan(len(frames))
    scan.add(frames, corrupt)
    return scan.check()


def flags_of(frames: np.ndarray, *, offset: int = 5, corrupt: np.ndarray | None = None) -> np.ndarray:
    later = later_steps(np.arange(len(frames)) / 10, offset / 10)
    return pair_flags(check_frames(frames, corrupt=corrupt), later)


def test_a_cut_between_two_scenes_is_found_where_it_is() -> None:
    check = check_frames(np.concatenate([moving(1), moving(2)]))
    assert np.flatnonzero(check.cut).tolist() == [20]


def test_steady_motion_is_no_cut() -> None:
    for seed in range(5):
        assert not check_frames(clip(seed)).cut.any()
        assert not check_frames(moving(seed)).cut.any()


def test_two_cuts_close_together_are_both_found() -> None:
    frames = np.concatenate([moving(1, 12), moving(2, 8), moving(3, 12)])
    assert np.flatnonzero(check_frames(frames).cut).tolist() == [12, 20]


def test_exactly_the_pairs_across_a_cut_are_masked() -> None:
    flags = flags_of(np.concatenate([moving(1), moving(2)]))
    assert np.flatnonzero(flags & LabelFlag.CUT).tolist() == [15, 16, 17, 18, 19]
    assert (flags[35:] == LabelFlag.UNLABELLED).all()
    assert (flags[:15] == 0).all()
    assert (flags[20:35] == 0).all()


def test_pairs_that_begin_or_end_in_black_are_masked() -> None:
    frames = moving(1)
    frames[9:11] = 3
    flags = flags_of(frames)
    assert np.flatnonzero(flags & LabelFlag.DARK).tolist() == [4, 5, 9, 10]
    assert not (flags & LabelFlag.CUT).any()


def test_video_that_stands_still_is_masked_until_it_moves() -> None:
    frames = moving(1)
    frames[3:14] = frames[3]
    flags = flags_of(frames)
    assert np.flatnonzero(flags & LabelFlag.FROZEN).tolist() == [3, 4, 5, 6, 7, 8]


def test_a_frame_that_does_not_decode_spoils_the_pairs_that_need_it() -> None:
    frames, corrupt = moving(1), np.zeros(20, bool)
    corrupt[10] = True
    frames[10] = 0
    flags = flags_of(frames, corrupt=corrupt)
    assert np.flatnonzero(flags & LabelFlag.CORRUPT).tolist() == [5, 10]
    assert not (flags & (LabelFlag.CUT | LabelFlag.DARK)).any()


def test_shares_of_flags_count_each_step_once() -> None:
    frames = moving(1)
    frames[3:14] = frames[3]
    frames[10] = 3
    shares = step_shares(flags_of(frames))
    assert sum(shares.values()) == 1.0
    assert shares["no window"] == 5 / 20
    assert shares["dark"] == 2 / 20


def test_steps_at_the_end_take_the_last_pair_that_covers_them() -> None:
    assert moved_back(np.array([2, 3, 4, -1, -1])).tolist() == [0, 1, 2, 2, 2]
    assert moved_back(np.array([2, -1, 4, -1, -1, -1])).tolist() == [0, -1, 2, -1, -1, -1]
