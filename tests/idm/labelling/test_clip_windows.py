"""Pairs of frames in seconds: any rate, rates that vary, leads, clips that are too short."""

import numpy as np
import pytest

from idm.labelling.clip_windows import clip_windows
from storage.errors import SchemaError


def stamps(count: int, rate_hz: float) -> np.ndarray:
    return np.arange(count) / rate_hz


@pytest.mark.parametrize(("rate_hz", "ahead"), [(30.0, 15), (20.0, 10), (10.0, 5), (8.0, 4)])
def test_the_interval_is_in_seconds(rate_hz: float, ahead: int) -> None:
    windows = clip_windows(stamps(60, rate_hz), frame_offsets_s=(0.0, 0.5))
    assert (windows.later - windows.now == ahead).all()
    assert windows.start.tolist() == list(range(60 - ahead))
    assert windows.stretch == pytest.approx(1.0)


def test_every_step_with_both_frames_starts_a_window_and_a_lead_shifts_the_frames() -> None:
    windows = clip_windows(stamps(40, 20.0), frame_offsets_s=(0.1, 0.6))
    assert (windows.now - windows.start == 2).all()
    assert windows.later.max() == 39
    assert len(windows) == 40 - 12


def test_a_rate_that_the_interval_does_not_divide_stretches_the_chunk() -> None:
    windows = clip_windows(stamps(40, 7.0), frame_offsets_s=(0.0, 0.5))
    assert (windows.later - windows.now == 4).all()
    assert windows.stretch == pytest.approx(4 / 7 / 0.5)


def test_a_clip_too_slow_for_the_model_has_no_windows() -> None:
    assert len(clip_windows(stamps(40, 1.0), frame_offsets_s=(0.0, 0.2))) == 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_clip_shorter_than_the_interval_has_no_windows(count: int) -> None:
    assert len(clip_windows(stamps(count, 20.0), frame_offsets_s=(0.0, 0.5))) == 0


def test_a_gap_in_the_time_stamps_makes_no_window() -> None:
    times = stamps(40, 20.0)
    times[20:] += 3.0
    windows = clip_windows(times, frame_offsets_s=(0.0, 0.5))
    spans = times[windows.later] - times[windows.now]
    np.testing.assert_allclose(spans, 0.5, atol=1e-9)
    assert not ((windows.now < 20) & (windows.later >= 20)).any()


def test_jitter_of_a_few_milliseconds_is_fine() -> None:
    times = stamps(60, 20.0) + np.random.default_rng(0).uniform(-0.005, 0.005, 60)
    windows = clip_windows(np.sort(times), frame_offsets_s=(0.0, 0.5))
    assert len(windows) >= 45


def test_time_that_stands_still_is_refused() -> None:
    times = stamps(10, 20.0)
    times[5] = times[4]
    with pytest.raises(SchemaError, match="must increase; step 5"):
        clip_windows(times, frame_offsets_s=(0.0, 0.1))
