"""Commands that are held to a path: played, they end where the path ends; what is not seen changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from groot.normalise import Normaliser
from idm.fitting.fit_controller import fit_controller, with_errors
from idm.fitting.targets import EmbodimentTargets
from idm.labelling import commands_on_path as solver
from idm.labelling.commands_on_path import commands_on_path
from idm.labelling.controller import Controller, moved_pose
from storage.embodiment import Embodiment, Layout, Part, register
from storage.episode import Episode

ACTION = "action/ground_truth"
BODY = register(
    Embodiment(
        name="test_lagging",
        description="for tests: a point that follows its commands late, and sideways a little",
        state=Layout(parts=(Part(name="hand", size=3, quantity="position", unit="m"),)),
        action=Layout(
            parts=(
                Part(name="push", size=3, quantity="position_delta", unit="1"),
                Part(name="gripper", size=1, quantity="gripper", unit="1"),
            )
        ),
    )
)
MIXED = np.array([[1.0, 0.2, 0.0], [-0.1, 1.0, 0.1], [0.0, 0.15, 1.0]])


def played(actions: NDArray, start: NDArray) -> NDArray:
    """Where the point is (T, 3), in metres, before each of the actions (T, 4)."""
    places, moved = [start], np.zeros(3)
    for action in actions[:-1]:
        moved = 0.6 * moved + 0.4 * 0.01 * MIXED @ action[:3]
        places.append(places[-1] + moved)
    return np.array(places)


def clip(seed: int, steps: int = 150) -> tuple[NDArray, NDArray]:
    """Poses and actions of a random walk of commands."""
    random = np.random.default_rng(seed)
    held = np.repeat(random.uniform(-1, 1, size=(steps // 10 + 1, 3)), 10, axis=0)[:steps]
    actions = np.concatenate([held, np.sign(np.sin(np.arange(steps) / 9.0 + seed))[:, None]], axis=1)
    return played(actions, random.normal(size=3) * 0.1), actions


def episode(seed: int) -> Episode:
    poses, actions = clip(seed)
    return Episode(
        episode_id=f"e{seed}",
        layer="simulation",
        embodiment=BODY.name,
        length=len(actions),
        rate_hz=20.0,
        cameras={},
        arrays={"state": poses.astype(np.float32), ACTION: actions.astype(np.float32)},
    )


def targets() -> EmbodimentTargets:
    chunks = np.concatenate([clip(seed)[1] for seed in range(4)])[:, None]
    fitted = EmbodimentTargets.fitted(BODY, chunks)
    return replace(fitted, state=Normaliser(offset=np.zeros(3), scale=np.ones(3)))


def seen_and_told(seed: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Poses, actions, poses as a network sees them, labels whose errors add up."""
    poses, actions = clip(seed)
    random = np.random.default_rng([seed, 1])
    labels = actions.copy()
    labels[:, :3] += random.normal(size=actions[:, :3].shape) * 0.1 + random.uniform(-0.15, 0.15, size=3)
    return poses, actions, poses + random.normal(size=poses.shape) * 0.002, labels


@pytest.fixture(scope="module")
def controller() -> Controller:
    fitted = fit_controller(targets(), [episode(seed) for seed in range(12)], action=ACTION, rate_hz=20.0, steps=1500)
    assert fitted is not None
    held_out = [clip(seed) for seed in range(20, 24)]
    measured = with_errors(fitted, held_out, pose_errors=np.full((9, 3), 0.002), command_errors=np.full((9, 3), 0.15))
    assert measured is not None
    return measured


EVERYTHING = np.ones(150, bool)


def test_played_commands_end_where_the_seen_path_ends(controller: Controller) -> None:
    for seed in range(30, 34):
        poses, actions, seen, labels = seen_and_told(seed)
        found = commands_on_path(controller, labels, EVERYTHING, seen, EVERYTHING)
        before = np.abs(played(labels, poses[0]) - poses).max()
        after = np.abs(played(found, poses[0]) - poses).max()
        assert after < 0.3 * before
        assert np.abs(found - actions)[:, :3].mean() < np.abs(labels - actions)[:, :3].mean()
        np.testing.assert_array_equal(found[:, 3], labels[:, 3])


def test_commands_stay_within_those_that_were_recorded(controller: Controller) -> None:
    _, _, seen, labels = seen_and_told(40)
    found = commands_on_path(controller, 5 * labels, EVERYTHING, seen, EVERYTHING)
    assert (found[:, :3] <= controller.most).all()
    assert (found[:, :3] >= controller.least).all()


def test_frames_that_are_not_seen_or_far_off_for_a_moment_change_little(controller: Controller) -> None:
    _, _, seen, labels = seen_and_told(41)
    found = commands_on_path(controller, labels, EVERYTHING, seen, EVERYTHING)
    wrong, there = seen.copy(), EVERYTHING.copy()
    wrong[60:64] += 0.3
    there[60:64] = False
    blind = commands_on_path(controller, labels, EVERYTHING, wrong, there)
    misled = commands_on_path(controller, labels, EVERYTHING, wrong, EVERYTHING)
    assert np.abs(blind - found)[:, :3].max() < 0.2
    assert np.abs(misled - found)[:, :3].mean() < 0.05


def test_steps_without_a_label_take_their_commands_from_the_path(controller: Controller) -> None:
    _, actions, seen, labels = seen_and_told(42)
    labelled, straight = EVERYTHING.copy(), np.linspace(labels[49], labels[70], 22)[1:-1]
    labelled[50:70], labels[50:70] = False, np.nan
    found = commands_on_path(controller, labels, labelled, seen, EVERYTHING)
    assert np.isfinite(found).all()
    assert np.abs(found - actions)[50:70, :3].mean() < 0.8 * np.abs(straight - actions[50:70])[:, :3].mean()


def test_blocks_of_a_long_clip_say_what_the_whole_says(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, seen, labels = seen_and_told(43)
    whole = commands_on_path(controller, labels, EVERYTHING, seen, EVERYTHING)
    monkeypatch.setattr(solver, "_BLOCK_STEPS", 50)
    blocks = commands_on_path(controller, labels, EVERYTHING, seen, EVERYTHING)
    assert np.abs(blocks - whole).max() < 0.02


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_clips_that_are_too_short_are_left_as_they_are(controller: Controller, steps: int) -> None:
    poses, actions = clip(44)
    there = np.ones(steps, bool)
    found = commands_on_path(controller, actions[:steps], there, poses[:steps], there)
    np.testing.assert_array_equal(found, actions[:steps])


def test_slopes_are_those_of_the_answer(controller: Controller) -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(5, 14)) * 0.3
    slopes = controller.slopes(inputs)
    for place in range(14):
        step = np.zeros(14)
        step[place] = 1e-6
        change = (controller.answer(inputs + step) - controller.answer(inputs - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, :, place], change, atol=1e-5)


def test_a_controller_reads_back_as_it_was_written(controller: Controller) -> None:
    again = Controller.of_arrays(controller.arrays())
    assert again.arrays().keys() == controller.arrays().keys()
    for name, rows in controller.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], rows)


def test_there_is_none_where_commands_are_no_changes_of_a_pose_or_it_explains_nothing(controller: Controller) -> None:
    joints = replace(BODY, action=Layout(parts=(Part(name="arm", size=3, quantity="joint", unit="rad"),)))
    assert not len(moved_pose(joints))
    assert not len(moved_pose(replace(BODY, state=Layout(parts=()))))
    poses, actions = clip(50)
    shuffled = np.random.default_rng(0).permutation(len(actions))
    errors = np.ones((5, 3))
    assert with_errors(controller, [(poses, actions[shuffled])], pose_errors=errors, command_errors=errors) is None
    assert fit_controller(targets(), [episode(0)], action=ACTION, rate_hz=20.0, steps=5) is None, "too few steps"
    assert fit_controller(targets(), [episode(s) for s in range(9)], action=ACTION, rate_hz=5.0, steps=5) is None
