"""A latent that only says that the head turned is told by what curation knows of the camera."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lapa.labelling.camera_share import HEAD_TURNED, camera_share
from lapa.testing import moving_episode
from storage.episode import Episode

STEPS = 40
LATER = np.where(np.arange(STEPS) + 10 < STEPS, np.arange(STEPS) + 10, -1)


def curated(speed: NDArray[np.float64], rest: NDArray[np.float64], known: bool = True) -> Episode:
    arrays = {
        "label/motion": np.column_stack([speed, rest]).astype(np.float32),
        "label/valid/camera_motion": np.full(STEPS, known),
    }
    return replace(moving_episode(0, steps=STEPS), arrays=arrays)


def test_a_head_that_turns_before_a_still_scene_is_told_from_hands_before_a_still_head() -> None:
    turns, works, both = (
        camera_share(curated(np.full(STEPS, speed), np.full(STEPS, rest)), LATER)[:30]
        for speed, rest in ((0.3, 0.02), (0.01, 2.0), (0.3, 2.0))
    )
    assert (turns >= HEAD_TURNED).all()
    assert (works == -np.inf).all(), "a camera that stands still has no share"
    assert (both < HEAD_TURNED).all()


def test_only_the_steps_of_a_pair_speak_about_it() -> None:
    speed = np.where(np.arange(STEPS) < 20, 0.3, 0.0)
    share = camera_share(curated(speed, np.full(STEPS, 0.02)), LATER)
    assert (share[:10] >= HEAD_TURNED).all()
    assert (share[20:30] == -np.inf).all()


def test_where_nothing_is_known_nothing_is_said() -> None:
    for episode in (curated(np.ones(STEPS), np.zeros(STEPS), known=False), moving_episode(0, steps=STEPS)):
        assert np.isnan(camera_share(episode, LATER)).all()
    assert np.isnan(camera_share(curated(np.ones(STEPS), np.zeros(STEPS)), LATER)[30:]).all(), "no later step"
