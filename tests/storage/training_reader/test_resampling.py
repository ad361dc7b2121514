import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.embodiment import Layout, Part
from storage.training_reader.resampling import chunk_of, resampled

LAYOUT = Layout(
    parts=(
        Part(name="arm", size=2, quantity="joint", unit="rad"),
        Part(name="move", size=3, quantity="position_delta", unit="m"),
        Part(name="grip", size=1, quantity="gripper", unit="1"),
    )
)
ARM, MOVE, GRIP = slice(0, 2), slice(2, 5), slice(5, 6)


def rows(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, 6)).astype(np.float32)


@given(steps=st.integers(1, 50), rate_hz=st.sampled_from([3.0, 8.0, 10.0, 20.0, 30.0, 59.94]))
def test_a_horizon_at_the_recorded_rate_is_the_recorded_steps(steps: int, rate_hz: float) -> None:
    chunk = chunk_of(steps=steps, horizon_s=steps / rate_hz, rate_hz=rate_hz, layout=LAYOUT, size=6)
    recorded = rows(steps)
    assert chunk.reach == steps
    assert chunk.apply(recorded) is recorded
    assert chunk.needs.tolist() == list(range(1, steps + 1))


@settings(deadline=None)
@given(
    steps=st.integers(1, 40),
    horizon_s=st.floats(0.05, 4.0),
    rate_hz=st.sampled_from([3.0, 8.0, 20.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_deltas_add_up_to_the_same_movement_at_any_rate(
    steps: int, horizon_s: float, rate_hz: float, seed: int
) -> None:
    chunk = chunk_of(steps=steps, horizon_s=horizon_s, rate_hz=rate_hz, layout=LAYOUT, size=6)
    recorded = rows(chunk.reach, seed)
    moved = np.concatenate([np.zeros((1, 3)), np.cumsum(recorded[:, MOVE], axis=0, dtype=np.float64)])
    at_the_end = [np.interp(horizon_s * rate_hz, np.arange(len(moved)), column) for column in moved.T]
    np.testing.assert_allclose(chunk.apply(recorded)[:, MOVE].sum(axis=0), at_the_end, atol=1e-4)


def test_joint_targets_are_interpolated_and_grippers_are_held() -> None:
    chunk = chunk_of(steps=4, horizon_s=1.0, rate_hz=2.0, layout=LAYOUT, size=6)
    recorded = np.zeros((chunk.reach, 6), dtype=np.float32)
    recorded[:, ARM] = np.arange(chunk.reach)[:, None]
    recorded[:, GRIP] = np.where(np.arange(chunk.reach) % 2, 1, -1)[:, None]
    found = chunk.apply(recorded)
    assert found[:, 0].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert found[:, 5].tolist() == [-1, -1, 1, 1]


def test_a_fast_source_gives_every_third_joint_target() -> None:
    chunk = chunk_of(steps=3, horizon_s=0.3, rate_hz=30.0, layout=LAYOUT, size=6)
    recorded = rows(chunk.reach)
    np.testing.assert_allclose(chunk.apply(recorded)[:, ARM], recorded[[0, 3, 6], ARM], rtol=1e-6)
    assert chunk.needs.tolist() == [3, 6, 9]


def test_vectors_without_a_layout_are_held() -> None:
    chunk = chunk_of(steps=4, horizon_s=1.0, rate_hz=2.0, layout=None, size=2)
    recorded = np.arange(2 * chunk.reach, dtype=np.float32).reshape(-1, 2)
    assert chunk.apply(recorded)[:, 0].tolist() == [0, 0, 2, 2]


def test_a_value_between_two_rows_needs_both() -> None:
    chunk = chunk_of(steps=4, horizon_s=1.0, rate_hz=2.0, layout=LAYOUT, size=6)
    assert chunk.needs.tolist() == [1, 2, 2, 3]


@pytest.mark.parametrize(("rate_hz", "steps", "horizon_s"), [(20.0, 16, 0.5), (8.0, 16, 2.0), (30.0, 10, 1.0)])
def test_no_step_stands_on_rows_beyond_its_reach(rate_hz: float, steps: int, horizon_s: float) -> None:
    chunk = chunk_of(steps=steps, horizon_s=horizon_s, rate_hz=rate_hz, layout=LAYOUT, size=6)
    assert len(chunk.needs) == steps
    assert chunk.needs.max() <= chunk.reach
    assert (chunk.begins < chunk.needs).all()


@given(
    steps=st.integers(1, 40),
    times=st.integers(1, 5),
    rate_hz=st.sampled_from([3.0, 5.0, 29.97]),
    seed=st.integers(0, 1000),
)
def test_whole_recordings_at_a_multiple_of_their_rate_come_back(
    steps: int, times: int, rate_hz: float, seed: int
) -> None:
    recorded = rows(steps, seed)
    fast = resampled(recorded, rate_hz=rate_hz, wanted_hz=times * rate_hz, layout=LAYOUT)
    assert len(fast) == steps * times
    np.testing.assert_allclose(fast[:, MOVE].reshape(steps, times, 3).sum(axis=1), recorded[:, MOVE], atol=1e-5)
    np.testing.assert_array_equal(fast[:, GRIP].reshape(steps, times), np.repeat(recorded[:, GRIP], times, axis=1))
    slow = resampled(fast, rate_hz=times * rate_hz, wanted_hz=rate_hz, layout=LAYOUT)
    np.testing.assert_allclose(slow, recorded, atol=1e-5)


def test_a_rest_of_a_step_makes_no_step() -> None:
    assert len(resampled(rows(7), rate_hz=20.0, wanted_hz=10.0, layout=LAYOUT)) == 3
