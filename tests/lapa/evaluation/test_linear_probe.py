"""Probes and retrieval on features whose meaning is known."""

import numpy as np
import pytest

from lapa.evaluation.linear_probe import by_group, fit_probe
from lapa.evaluation.retrieval import nearest, same_direction_share, sectors
from lapa.fitting.targets import change_of_state
from storage.embodiment import embodiment_named
from storage.errors import InputError, UnknownNameError
from storage.labelling.scores import r_squared


def linear_data(rows: int = 400, *, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 12)).astype(np.float32)
    weights = np.random.default_rng(99).normal(size=(12, 3))
    motions = (features @ weights + noise * random.normal(size=(rows, 3))).astype(np.float32)
    return features, motions, np.arange(rows) // 40


def test_a_probe_reads_off_what_is_linear_in_the_features() -> None:
    probe = fit_probe(*linear_data())
    features, motions, _ = linear_data(seed=1)
    assert (r_squared(probe.predict(features), motions) > 0.98).all()


def test_a_probe_of_shuffled_motions_knows_nothing() -> None:
    features, motions, clips = linear_data()
    probe = fit_probe(features, np.random.default_rng(0).permutation(motions), clips)
    held_out, truth, _ = linear_data(seed=1)
    assert (r_squared(probe.predict(held_out), truth) < 0.05).all()


def test_more_features_than_rows_do_not_fool_a_probe() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 200)).astype(np.float32)
    motions, clips = random.normal(size=(60, 2)).astype(np.float32), np.arange(60) // 6
    scores = r_squared(
        fit_probe(features, motions, clips).predict(random.normal(size=(500, 200)).astype(np.float32)),
        random.normal(size=(500, 2)).astype(np.float32),
    )
    assert (np.abs(scores) < 0.2).all()


def test_the_mean_scores_zero_and_the_truth_scores_one() -> None:
    truth = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert np.allclose(r_squared(np.broadcast_to(truth.mean(axis=0), truth.shape), truth), 0, atol=1e-6)
    assert np.allclose(r_squared(truth.astype(np.float64), truth), 1)


def test_what_never_moves_has_no_score_and_leaves_its_group() -> None:
    truth = np.zeros((50, 3), np.float32)
    truth[:, 0] = np.random.default_rng(0).normal(size=50)
    scores = r_squared(truth.astype(np.float64), truth)
    assert by_group(scores, {"arm": slice(0, 2), "gripper": slice(2, 3)}) == {"arm": 1.0}


def test_a_probe_needs_rows() -> None:
    with pytest.raises(InputError, match="needs at least 8 labelled pairs; got 3"):
        fit_probe(np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32), np.arange(3))


def test_rotations_change_by_the_angle_between() -> None:
    """A quarter turn about z, from 6D rotations (the first two columns of the matrix)."""
    layout = embodiment_named("panda").state
    now = np.zeros((1, layout.size), np.float32)
    later = now.copy()
    now[0, 3:9] = [1, 0, 0, 0, 1, 0]
    later[0, 3:9] = [0, 1, 0, -1, 0, 0]
    later[0, :3] = [0.1, 0, -0.2]
    motion = change_of_state(now, later, layout)
    assert np.allclose(motion.values[0, motion.groups["end_effector_rotation"]], [0, 0, np.pi / 2], atol=1e-5)
    assert np.allclose(motion.values[0, motion.groups["end_effector_position"]], [0.1, 0, -0.2])
    with pytest.raises(UnknownNameError, match="did you mean gripper"):
        change_of_state(now, later, layout, parts=("grippper",))


def test_the_nearest_latent_of_the_same_set_is_itself() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    assert nearest(rows, rows)[:, 0].tolist() == list(range(30))


def test_sectors_turn_with_the_direction() -> None:
    angles = np.arange(8) * np.pi / 4 + 0.1
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert sectors(directions).tolist() == list(range(8))


def test_bodies_that_share_a_latent_of_direction_find_each_other() -> None:
    random = np.random.default_rng(0)
    bodies = []
    for offset in (0.0, 5.0):
        moves = random.normal(size=(300, 2)).astype(np.float32)
        noise = 0.1 * random.normal(size=(300, 4)).astype(np.float32)
        bodies.append((np.concatenate([moves, moves], axis=1) * (1 + offset) + offset + noise, moves))
    share, chance = same_direction_share(bodies[0], bodies[1])
    assert share > 0.7
    assert 0.1 < chance < 0.15
    unrelated = (random.normal(size=(300, 4)).astype(np.float32), bodies[1][1])
    assert same_direction_share(bodies[0], unrelated)[0] < 0.2
