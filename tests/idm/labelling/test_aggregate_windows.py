"""Overlapping windows to one label a step: exact on exact windows, whatever the rates."""

from dataclasses import replace

import numpy as np
import pytest

from idm.labelling.aggregate_windows import Combination, WindowLabels, combine, label_grid, regrid
from storage.embodiment import PANDA, Layout, Part
from storage.errors import SchemaError


def exact_windows(
    values: np.ndarray, reach: int, *, absolute: np.ndarray, keep: np.ndarray | None = None
) -> WindowLabels:
    """What a perfect network says of a clip with actions `values` (T, D)."""
    steps = len(values)
    start = np.arange(steps - reach + 1)
    start = start if keep is None else start[keep[start]]
    chunks = np.stack([values[s : s + reach] for s in start])
    motion = np.where(absolute, chunks - chunks[:, :1], chunks)
    return WindowLabels(
        start=start,
        motion=np.stack([motion, motion]),
        scale=np.full(chunks.shape, 0.1),
        switch=np.zeros(chunks.shape),
        anchor=values[start],
        moved=np.empty((len(start), 0)),
    )


def test_perfect_windows_give_back_the_actions() -> None:
    values = np.random.default_rng(0).normal(size=(30, 3)).cumsum(axis=0)
    absolute = np.array([True, False, True])
    no_switch = np.zeros(3, bool)
    predicted = exact_windows(values, 5, absolute=absolute)
    labels = combine(predicted, steps=30, absolute=absolute, switch=no_switch, how=Combination.plain(5, 3))
    assert labels.covered.all()
    np.testing.assert_allclose(labels.action, values, atol=1e-6)
    np.testing.assert_allclose(labels.overlap[:-1], 0, atol=1e-6)
    np.testing.assert_allclose(labels.stated, 0.1)


def test_steps_without_a_window_are_not_covered() -> None:
    values = np.random.default_rng(0).normal(size=(30, 1))
    keep = np.ones(30, bool)
    keep[8:17] = False
    predicted = exact_windows(values, 4, absolute=np.array([False]), keep=keep)
    labels = combine(
        predicted, steps=30, absolute=np.array([False]), switch=np.array([False]), how=Combination.plain(4, 1)
    )
    assert np.flatnonzero(~labels.covered).tolist() == list(range(11, 17))


def test_averaging_overlaps_takes_noise_away_and_disagreement_tells_of_it() -> None:
    random = np.random.default_rng(0)
    values = np.zeros((200, 1))
    predicted = exact_windows(values, 8, absolute=np.array([False]))
    noise = random.normal(size=predicted.motion.shape[1:])
    noisy = replace(predicted, motion=predicted.motion + noise)
    labels = combine(
        noisy, steps=200, absolute=np.array([False]), switch=np.array([False]), how=Combination.plain(8, 1)
    )
    assert labels.action[10:-10].std() == pytest.approx(1 / np.sqrt(8), rel=0.15)
    assert labels.overlap[10:-10].mean() == pytest.approx(1.0, rel=0.15)


def test_anchors_stop_the_drift_of_paths() -> None:
    random = np.random.default_rng(0)
    values = np.zeros((400, 1))
    absolute = np.array([True])
    predicted = exact_windows(values, 3, absolute=absolute)
    steps = np.arange(3)[None, :, None]
    drifting = WindowLabels(
        start=predicted.start,
        motion=predicted.motion + 0.01 * steps,  # every step is too long by 0.01: after 400 steps that is 4
        scale=predicted.scale,
        switch=predicted.switch,
        anchor=predicted.anchor + random.normal(size=predicted.anchor.shape) * 0.05,
        moved=predicted.moved,
    )
    how = Combination.plain(3, 1)
    labels = combine(drifting, steps=400, absolute=absolute, switch=np.array([False]), how=how)
    assert np.abs(labels.action).max() < 0.3
    assert np.abs(np.diff(labels.action[:, 0])).mean() < 0.02, "and the motion is smoother than the anchors"


def test_weights_say_which_place_of_a_chunk_to_trust() -> None:
    values = np.ones((20, 1))
    predicted = exact_windows(values, 2, absolute=np.array([False]))
    motion = predicted.motion.copy()
    motion[:, :, 1] = 99.0
    spoilt = replace(predicted, motion=motion)
    how = Combination(weights=np.array([[1.0], [0.0]]), drift=np.ones(1))
    labels = combine(spoilt, steps=20, absolute=np.array([False]), switch=np.array([False]), how=how)
    np.testing.assert_allclose(labels.action[:-1], 1.0)


def test_a_grid_of_the_same_rate_changes_nothing() -> None:
    assert label_grid(chunk_steps=8, step_s=0.05, rate_hz=20.0, layout=PANDA.action) is None


@pytest.mark.parametrize("rate_hz", [5.0, 10.0, 40.0])
def test_deltas_add_up_and_positions_agree_at_every_rate(rate_hz: float) -> None:
    layout = Layout(
        parts=(
            Part(name="delta", size=3, quantity="position_delta", unit="m"),
            Part(name="joint", size=1, quantity="joint", unit="rad"),
            Part(name="gripper", size=1, quantity="gripper", unit="1"),
        )
    )
    steps, step_s = 17, 0.05
    time = np.arange(steps) * step_s
    chunk = np.concatenate(
        [np.full((steps, 3), 0.01), 2.0 * time[:, None], (time[:, None] > 0.3).astype(float)], axis=1
    )[None]
    grid = label_grid(chunk_steps=steps, step_s=step_s, rate_hz=rate_hz, layout=layout)
    labels = regrid(chunk, grid)[0]
    new = np.arange(len(labels)) / rate_hz
    np.testing.assert_allclose(labels[:, :3], 0.01 / step_s / rate_hz, atol=1e-9)
    np.testing.assert_allclose(labels[:, 3], 2.0 * new, atol=1e-6)
    assert set(labels[:, 4]) <= {0.0, 1.0}


def test_a_chunk_too_short_for_the_grid_is_refused() -> None:
    grid = label_grid(chunk_steps=16, step_s=0.05, rate_hz=5.0, layout=PANDA.action)
    with pytest.raises(SchemaError, match="cannot be made from chunks of 2"):
        regrid(np.zeros((1, 2, 7)), grid)
