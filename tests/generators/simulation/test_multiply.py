import numpy as np
import pytest

from generators.simulation.demonstrations.replay import recording_of, replayed
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from storage.errors import ConfigError, MissingFileError, UnknownNameError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept

RANDOMNESS = Randomness(7, "multiply")
CONFIG = MultiplyConfig(task="stack", sources=5, size_px=32, cameras=("agentview",))


@pytest.fixture(scope="module")
def stage() -> Multiply:
    return Multiply(CONFIG)


@pytest.fixture(scope="module")
def outcomes(stage):
    return stage(
        [{"first_attempt": 0, "attempts": 5}, {"first_attempt": 20, "attempts": 6, "keep_at_most": 1}], RANDOMNESS
    )


@pytest.fixture(scope="module")
def episode(outcomes):
    return next(one.episode for one in outcomes[0] if isinstance(one, Kept))


def same(first, second) -> bool:
    if isinstance(first, Dropped) or isinstance(second, Dropped):
        return first == second
    a, b = first.episode, second.episode
    arrays = all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)
    frames = all(list(a.cameras[name].payloads) == list(b.cameras[name].payloads) for name in a.cameras)
    return arrays and frames and a.provenance == b.provenance and a.episode_id == b.episode_id


def test_every_attempt_is_kept_or_dropped_with_its_cause(outcomes):
    assert len(outcomes[0]) == 5
    for outcome in outcomes[0]:
        if isinstance(outcome, Dropped):
            assert outcome.reason
            assert outcome.detail["task"] == "stack"
    assert any(isinstance(outcome, Kept) for outcome in outcomes[0])


def test_an_item_stops_when_it_has_kept_what_it_may(outcomes):
    kept = [isinstance(outcome, Kept) for outcome in outcomes[1]]
    assert kept == [False] * (len(kept) - 1) + [True]


def test_an_attempt_is_the_same_in_any_item_order_and_process(outcomes):
    again = Multiply(CONFIG)([{"first_attempt": 2}, {"first_attempt": 1}], RANDOMNESS)
    assert same(again[0][0], outcomes[0][2])
    assert same(again[1][0], outcomes[0][1])


def test_another_run_seed_gives_other_attempts(stage, outcomes):
    other = stage([{"first_attempt": 0}], Randomness(8, "multiply"))[0][0]
    assert not same(other, outcomes[0][0])


def test_an_episode_holds_states_actions_pictures_and_where_it_came_from(episode):
    assert episode.layer == "simulation"
    assert episode.embodiment == "panda"
    assert episode.rate_hz == 20.0
    assert episode.arrays["state"].shape == (episode.length, 18)
    assert episode.arrays["action/ground_truth"].shape == (episode.length, 7)
    assert set(episode.cameras) == {"agentview"}
    assert episode.cameras["agentview"].decode([0]).shape == (1, 32, 32, 3)
    made = episode.provenance["generation"]
    assert made["success"] is True
    assert {one["subtask"] for one in made["subtasks"]} == {"arm.grasp", "arm.place"}
    assert all(len(one["motion"]) == 16 for one in made["subtasks"])


def test_the_state_vector_says_where_the_hand_is(stage, episode):
    scene = stage._generator(0).scene
    states = replayed(scene, recording_of(scene, episode))
    for step, _ in zip(range(4), states, strict=False):
        np.testing.assert_allclose(episode.arrays["state"][step, :3], scene.actuation.poses()["arm"][:3, 3], atol=1e-6)


def test_a_kept_episode_replays_to_success_with_the_same_states(stage, episode):
    scene = stage._generator(0).scene
    states = np.stack(list(replayed(scene, recording_of(scene, episode))))
    np.testing.assert_allclose(states[:-1], episode.arrays["simulation/state"], atol=1e-9)
    assert scene.succeeded()


def test_failures_are_dropped_with_their_cause_or_kept_with_a_verdict():
    endless = {"success_steps": 1000, "retries": 0}
    settings = {"task": "lift", "sources": 2, "size_px": 0, "execution": endless}
    dropped = Multiply(MultiplyConfig(**settings))([{"first_attempt": 0}], RANDOMNESS)[0][0]
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "out of time"
    assert dropped.detail["success"] is False
    kept = Multiply(MultiplyConfig(**settings, keep_failed=True))([{"first_attempt": 0}], RANDOMNESS)[0][0]
    assert isinstance(kept, Kept)
    assert kept.episode.verdicts[0]["pass"] is False
    assert kept.episode.verdicts[0]["reason"] == "out of time"
    assert kept.episode.provenance["generation"]["success"] is False
    assert not kept.episode.cameras


@pytest.mark.parametrize("item", [{}, {"first_attempt": -1}, {"first_attempt": "3"}, {"first_attempt": 0, "color": 1}])
def test_an_item_that_cannot_be_read_is_an_error(stage, item):
    with pytest.raises(ConfigError, match="an item of multiply needs first_attempt"):
        stage([item], RANDOMNESS)


def test_settings_are_checked_before_anything_is_built():
    with pytest.raises(UnknownNameError, match="'retrys'; did you mean retries"):
        MultiplyConfig(task="stack", execution={"retrys": 2})
    with pytest.raises(UnknownNameError, match="'stakc'; did you mean stack"):
        Multiply(MultiplyConfig(task="stakc"))
    with pytest.raises(UnknownNameError, match="placement of task 'stack' 'D9'"):
        Multiply(MultiplyConfig(task="stack", placement="D9"))
    with pytest.raises(MissingFileError, match=r"no source file nowhere\.hdf5"):
        Multiply(MultiplyConfig(task="stack", source_file="nowhere.hdf5"))


def test_the_inputs_follow_the_content_of_the_sources():
    assert CONFIG.inputs() == MultiplyConfig(task="stack").inputs()
    assert CONFIG.inputs()["sources"] != MultiplyConfig(task="lift").inputs()["sources"]
