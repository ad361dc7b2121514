from dataclasses import replace

import numpy as np

from generators.simulation.demonstrations.replay import DISTURBED_REPLAYS, disturbed_successes, replays


def test_a_source_that_does_not_hang_by_a_hair_succeeds_from_every_disturbed_start(stack_scene, stack_recordings):
    assert replays(stack_scene, stack_recordings[0])
    assert disturbed_successes(stack_scene, stack_recordings[0]) == DISTURBED_REPLAYS


def test_a_disturbed_start_is_another_start(stack_scene, stack_recordings, monkeypatch):
    begun = []
    monkeypatch.setattr(
        stack_scene,
        "restore",
        lambda moment, restore=stack_scene.restore: (begun.append(moment.physics), restore(moment)),
    )
    disturbed_successes(stack_scene, replace(stack_recordings[0], actions=stack_recordings[0].actions[:1]))
    starts = np.array(begun)[:, 1 : stack_recordings[0].states.shape[1]]
    apart = np.abs(starts - stack_recordings[0].states[0, 1:])
    assert len(np.unique(starts, axis=0)) == DISTURBED_REPLAYS
    assert (apart.max(axis=1) > 1e-10).all()
    assert apart.max() < 1e-8


def test_actions_that_do_nothing_do_not_replay_to_success(stack_scene, stack_recordings):
    assert not replays(stack_scene, replace(stack_recordings[0], actions=0 * stack_recordings[0].actions))
