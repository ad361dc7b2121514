import numpy as np
import pytest

from generators.neural.clip_shape import ClipShape, cut_clip, frame_numbers
from generators.neural.first_frames.grid import compose, split
from generators.neural.motion import SpeedCheck, speed_heights_s
from storage.errors import ConfigError, SchemaError
from storage.testing import tiny_episode, tiny_images

SHAPE = ClipShape(frames=5, height_px=32, width_px=32, rate_hz=5.0)


@pytest.mark.parametrize("rate_hz", [10.0, 20.0, 30.0])
def test_clips_are_cut_in_seconds_whatever_the_rate(rate_hz: float) -> None:
    numbers = frame_numbers(tiny_episode(0, length=40, rate_hz=rate_hz), SHAPE, start_s=0.2)
    assert numbers / rate_hz == pytest.approx(0.2 + np.arange(5) / 5)


def test_a_clip_that_reaches_past_the_end_holds_the_last_frame() -> None:
    assert frame_numbers(tiny_episode(0, length=9, rate_hz=20.0), SHAPE).tolist() == [0, 4, 8, 8, 8]
    assert frame_numbers(tiny_episode(0, length=1), SHAPE).tolist() == [0] * 5


def test_a_clip_has_the_shape_that_was_asked_for_and_a_camera_that_exists() -> None:
    episode = tiny_episode(0, length=20)
    assert cut_clip(episode, "front", SHAPE).shape == (5, 32, 32, 3)
    with pytest.raises(SchemaError, match="has no camera 'back'; it has: front"):
        cut_clip(episode, "back", SHAPE)


def test_a_grid_splits_into_exactly_the_pictures_that_it_was_composed_of() -> None:
    views = {name: tiny_images(seed, steps=1, height_px=16, width_px=24)[0] for seed, name in enumerate("abc")}
    grid = compose(views, ("a", "b", "c"), (32, 48))
    assert not grid[16:, 24:].any()
    for name, clip in split(np.stack([grid, grid]), ("a", "b", "c")).items():
        assert np.array_equal(clip[1], views[name])


def test_grids_that_would_not_split_evenly_are_refused() -> None:
    view = {"a": tiny_images(0, steps=1)[0]}
    with pytest.raises(ConfigError, match="even height and width"):
        compose(view, ("a",), (33, 48))
    with pytest.raises(ConfigError, match="one to 4 different cameras"):
        compose(view, ("a", "a"), (32, 48))
    with pytest.raises(SchemaError, match="lacks b"):
        compose(view, ("a", "b"), (32, 48))


def moving(pixels: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    random = np.random.default_rng(0)
    texture = random.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    clip = np.full((8, 96, 96, 3), 90, np.uint8)
    for step in range(8):
        clip[step, 30:54, 10 + pixels * step : 34 + pixels * step] = texture
    return clip


def test_speed_is_what_moves_in_picture_heights_a_second() -> None:
    assert speed_heights_s(moving(4), rate_hz=5.0) == pytest.approx(4 * 5 / 96, rel=0.25)
    assert speed_heights_s(moving(4), rate_hz=10.0) == pytest.approx(2 * speed_heights_s(moving(4), rate_hz=5.0))
    assert speed_heights_s(moving(0), rate_hz=5.0) < 0.01


def test_slow_and_fast_clips_are_said() -> None:
    assert not SpeedCheck.of([0.9, 1.0, 1.1], [1.0]).finding
    assert "too small" in SpeedCheck.of([0.5], [1.0]).finding
    assert "too large" in SpeedCheck.of([1.5], [1.0]).finding
