"""Labels of a clip from its windows: held to the path that is seen, at the rate of the controller and at a fraction of
it, and never across a cut."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from groot.normalise import Normaliser
from idm.fitting.fit_controller import fit_controller, with_errors
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.aggregate_windows import Combination
from idm.labelling.clip_windows import clip_windows
from idm.labelling.combined_labels import combined_labels
from idm.labelling.predict_clip import ClipPrediction, WindowPredictions
from idm.labelling.saved_model import IdmModel
from idm.network.model import Idm
from idm.presets import preset
from storage.embodiment import Embodiment, Layout, Part, register
from storage.episode import Episode

ACTION, RATE_HZ = "action/ground_truth", 10.0
HAND = register(
    Embodiment(
        name="test_hand_in_plane",
        description="for tests: a hand that follows changes of its place late",
        state=Layout(parts=(Part(name="hand", size=3, quantity="position", unit="m"),)),
        action=Layout(parts=(Part(name="push", size=3, quantity="position_delta", unit="1"),)),
    )
)


def played(actions: NDArray) -> NDArray:
    """Places (T, 3) in metres before each of the actions (T, 3)."""
    places, moved = [np.zeros(3)], np.zeros(3)
    for action in actions[:-1]:
        moved = 0.5 * moved + 0.5 * 0.01 * action
        places.append(places[-1] + moved)
    return np.array(places)


def clip(seed: int, steps: int = 121) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(seed)
    actions = np.repeat(random.uniform(-1, 1, size=(steps // 12 + 1, 3)), 12, axis=0)[:steps]
    return played(actions), actions


def episode(poses: NDArray, actions: NDArray, rate_hz: float = RATE_HZ) -> Episode:
    arrays = {"state": poses.astype(np.float32), ACTION: actions.astype(np.float32)}
    about = {"layer": "simulation", "embodiment": HAND.name, "rate_hz": rate_hz, "cameras": {}}
    return Episode(episode_id="e", length=len(poses), arrays=arrays, **about)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> IdmModel:
    """A model whose windows say what the tests put in; its controller is fitted."""
    config = replace(preset("tiny"), views=("front",), action_sizes=(3,), state_sizes=(3,))
    assert config.chunk_steps / config.chunk_s == RATE_HZ
    unit = Normaliser(offset=np.zeros(3), scale=np.ones(3))
    chunks = np.concatenate([clip(seed)[1] for seed in range(3)])[:, None].repeat(config.chunk_steps, axis=1)
    targets = replace(EmbodimentTargets.fitted(HAND, chunks), state=unit, moved=unit)
    clips = [clip(seed) for seed in range(12)]
    controller = fit_controller(targets, [episode(*pair) for pair in clips], action=ACTION, rate_hz=RATE_HZ, steps=1200)
    assert controller is not None
    errors = {"pose_errors": np.full((4, 3), 0.001), "command_errors": np.full((4, 3), 0.2)}
    controller = with_errors(controller, [clip(seed) for seed in range(20, 23)], **errors)
    assert controller is not None
    torch.manual_seed(0)
    network = Idm(config).eval()
    return IdmModel(
        network=network,
        config=config,
        targets={HAND.name: targets},
        cameras={"front": ("front",)},
        controllers={HAND.name: controller},
    )


def prediction(model: IdmModel, shown: Episode, said: NDArray) -> ClipPrediction:
    """Windows that see the clip's poses, and say the actions `said` (T, 3) in every step of their chunks."""
    windows = clip_windows(shown.timestamps(), frame_offsets_s=model.config.frame_offsets_s)
    chunk = model.targets[HAND.name].motion.apply(said[windows.now][:, None].repeat(model.config.chunk_steps, axis=1))
    nothing = np.zeros((len(windows), 3))
    return ClipPrediction(
        windows=windows,
        predictions=WindowPredictions(
            motion=chunk[None],
            scale=np.full(chunk.shape, 0.1),
            switch=np.zeros(chunk.shape),
            moved=nothing,
            anchor=nothing,
            pose=np.asarray(shown.arrays["state"], float)[windows.now],
            pooled=nothing,
            hidden=np.full(len(windows), -9.0),
        ),
        checks=(),
    )


@pytest.mark.parametrize("every", [1, 2])
def test_labels_lead_along_the_path_at_the_trained_rate_and_at_a_fraction_of_it(model: IdmModel, every: int) -> None:
    poses, actions = clip(30)
    shown = episode(poses[::every], actions[::every], rate_hz=RATE_HZ / every)
    how = Combination.plain(model.config.chunk_steps, 3)
    said = actions[::every] + np.array([0.2, -0.2, 0.1])
    found = {
        name: combined_labels(each, HAND.name, shown, prediction(each, shown, said), how)
        for name, each in (("held", model), ("plain", replace(model, controllers={})))
    }
    ends = {}
    for name, combined in found.items():
        fine = (combined.action / every).repeat(every, axis=0)[: len(poses)]
        last = every * (int(combined.covered.sum()) - 2)
        ends[name] = np.abs(played(fine) - poses)[:last].max()
    assert ends["held"] < 0.35 * ends["plain"]


def test_nothing_is_held_across_steps_that_are_apart(model: IdmModel) -> None:
    poses, actions = clip(31)
    poses = poses.copy()
    poses[60:] += 0.2
    shown, how = episode(poses, actions), Combination.plain(model.config.chunk_steps, 3)
    cut = np.zeros(len(poses), bool)
    cut[58:60] = True
    seen = prediction(model, shown, actions)
    usable = ~cut[seen.windows.now]
    whole = combined_labels(model, HAND.name, shown, seen, how, usable=usable)
    parted = combined_labels(model, HAND.name, shown, seen, how, usable=usable, apart=cut)
    across, without = (np.abs(each.action - actions)[50:70].mean() for each in (whole, parted))
    assert without < 0.4 * across


def test_other_rates_are_left_as_they_are(model: IdmModel) -> None:
    poses, actions = clip(32)
    shown, how = episode(poses, actions, rate_hz=7.0), Combination.plain(model.config.chunk_steps, 3)
    bare = replace(model, controllers={})
    held, plain = (
        combined_labels(each, HAND.name, shown, prediction(each, shown, actions), how) for each in (model, bare)
    )
    np.testing.assert_array_equal(held.action, plain.action)
