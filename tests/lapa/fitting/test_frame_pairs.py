"""Pairs are a fixed time apart at any rate, and never clamp."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapa.fitting.frame_pairs import FramePairConfig, later_steps
from storage.errors import ConfigError
from storage.testing import tiny_episode


@settings(max_examples=60, deadline=None)
@given(
    rate_hz=st.sampled_from([3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 29.97, 30.0, 60.0]),
    window_s=st.floats(0.3, 2.0),
    length=st.integers(1, 120),
)
def test_every_pair_is_the_window_apart_to_half_a_frame(rate_hz: float, window_s: float, length: int) -> None:
    stamps = np.arange(length) / rate_hz
    later = later_steps(stamps, window_s, tolerance=0.9)
    good = later >= 0
    assert np.all(np.abs(stamps[later[good]] - stamps[good] - window_s) <= 0.5 / rate_hz + 1e-6)
    assert np.all(later[good] > np.flatnonzero(good))


@settings(max_examples=60, deadline=None)
@given(rate_hz=st.sampled_from([8.0, 20.0, 30.0]), length=st.integers(2, 90))
def test_no_two_steps_share_their_later_frame(rate_hz: float, length: int) -> None:
    later = later_steps(np.arange(length) / rate_hz, 0.6)
    found = later[later >= 0]
    assert len(np.unique(found)) == len(found)


def test_the_last_steps_of_a_clip_have_no_pair() -> None:
    later = later_steps(np.arange(30) / 10.0, 0.6)
    assert later.tolist() == [*range(6, 30), -1, -1, -1, -1, -1, -1]


def test_a_gap_in_the_time_stamps_breaks_the_pairs_that_need_it() -> None:
    stamps = np.r_[np.arange(10) / 10, 5 + np.arange(10) / 10]
    later = later_steps(stamps, 0.5)
    assert later[:5].tolist() == [5, 6, 7, 8, 9]
    assert (later[5:10] == -1).all()


def test_a_rate_that_cannot_give_the_window_has_no_pairs() -> None:
    assert (later_steps(np.arange(20) / 1.0, 0.6) == -1).all()


@pytest.mark.parametrize("length", [0, 1])
def test_a_clip_of_one_frame_has_no_pair(length: int) -> None:
    assert (later_steps(np.arange(length) / 10.0, 0.6) == -1).all()


def test_windows_are_chosen_by_embodiment_then_by_how_slow_the_video_is() -> None:
    windows = FramePairConfig(by_embodiment={"gr1": 0.8})
    assert windows.seconds_of(tiny_episode(embodiment="gr1", rate_hz=20)) == 0.8
    assert windows.seconds_of(tiny_episode(embodiment="panda", rate_hz=20)) == 0.6
    assert windows.seconds_of(tiny_episode(embodiment="panda", rate_hz=8)) == 1.0
    assert windows.seconds_of(tiny_episode(embodiment="human", layer="human", rate_hz=30)) == 1.0


def test_a_window_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="panda must be a positive number of seconds; got 0"):
        FramePairConfig(by_embodiment={"panda": 0})
