"""Commands read off motion: exact for linear controllers, harmless without data around a step."""

import numpy as np
import pytest

from idm.labelling import linear_filter
from idm.labelling.linear_filter import LinearFilter, filter_inputs, fit_filter

USED = np.array([True])


def sluggish_clip(seed: int, steps: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Commands (T, 1), and how far a body moves that follows them with a lag: in two steps, for each window."""
    random = np.random.default_rng(seed)
    command = np.repeat(random.normal(size=steps // 6), 6)
    speed, place = 0.0, [0.0]
    for value in command:
        speed += 0.4 * (value - speed)
        place.append(place[-1] + speed)
    path = np.asarray(place)
    return command[:, None], (path[2:] - path[:-2])[:, None]


def inputs(moved: np.ndarray, steps: int, reach: int) -> np.ndarray:
    nothing = np.zeros((len(moved), 1, 1))
    return filter_inputs(nothing, moved, np.arange(len(moved)), at=range(steps), reach=reach)


def test_the_filter_finds_commands_that_a_mean_cannot() -> None:
    train = [(inputs(moved, 119, 4), command[:119]) for command, moved in map(sluggish_clip, range(8))]
    linear = fit_filter(train, used=USED, reach=4)
    command, moved = sluggish_clip(99)
    found = linear.apply(np.zeros((119, 1, 1)), moved, np.arange(119), 119)
    truth = command[:119]
    plain = moved / moved.std() * truth.std()
    assert 1 - ((found - truth)[6:-6] ** 2).mean() / truth.var() > 0.98
    assert 1 - ((plain - truth)[6:-6] ** 2).mean() / truth.var() < 0.9
    again = LinearFilter.from_json(linear.to_json())
    np.testing.assert_allclose(again.apply(np.zeros((119, 1, 1)), moved, np.arange(119), 119), found, atol=1e-4)


def test_a_long_clip_is_filtered_block_by_block_as_it_would_be_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = fit_filter(
        [(inputs(moved, 119, 4), command[:119]) for command, moved in [sluggish_clip(0)]], used=USED, reach=4
    )
    _, moved = sluggish_clip(1)
    at_once = linear.apply(np.zeros((119, 1, 1)), moved, np.arange(119), 119)
    monkeypatch.setattr(linear_filter, "_BLOCK_STEPS", 7)
    np.testing.assert_allclose(linear.apply(np.zeros((119, 1, 1)), moved, np.arange(119), 119), at_once, atol=1e-12)


def test_missing_windows_are_replaced_by_the_nearest() -> None:
    moved = np.arange(5.0)[:, None]
    rows = filter_inputs(np.zeros((5, 1, 1)), moved, np.array([0, 1, 2, 7, 8]), at=range(10), reach=1)
    middle = rows.reshape(10, 3, 2)[:, 1, 1]
    np.testing.assert_array_equal(middle, [0, 1, 2, 2, 2, 3, 3, 3, 4, 4])
    np.testing.assert_array_equal(rows.reshape(10, 3, 2)[0, :, 1], [0, 0, 1])


@pytest.mark.parametrize("clips", [1, 2, 5])
def test_few_clips_are_enough_to_fit(clips: int) -> None:
    train = [(inputs(moved, 119, 3), command[:119]) for command, moved in map(sluggish_clip, range(clips))]
    linear = fit_filter(train, used=USED, reach=3)
    assert np.isfinite(linear.weights).all()


def test_a_number_that_cannot_be_known_does_not_blunt_the_others() -> None:
    random = np.random.default_rng(5)
    clips = [(inputs(moved, 119, 4), command[:119]) for command, moved in map(sluggish_clip, range(4))]
    noisy = [(rows, np.concatenate([truth, random.normal(size=truth.shape)], axis=1)) for rows, truth in clips]
    both = fit_filter(noisy, used=np.array([True, True]), reach=4)
    alone = fit_filter(clips, used=USED, reach=4)
    np.testing.assert_allclose(both.weights[:, 0], alone.weights[:, 0])
    assert np.abs(both.weights[:-1, 1]).max() < 0.2 * np.abs(alone.weights[:-1, 0]).max()
