"""Which camera of an episode fills which view of a model."""

from dataclasses import replace

import numpy as np

from idm.labelling.camera_views import ViewFinder
from storage.testing import tiny_episode


def test_a_camera_is_taken_by_its_name_and_another_one_is_not() -> None:
    episode = tiny_episode(0, cameras=("front", "wrist"))
    assert ViewFinder({"front": ("front",), "side": ("side",)}, (8, 8)).missing(episode) == ["side"]


def test_the_only_camera_of_a_plain_video_fills_the_only_view_of_a_model() -> None:
    episode = tiny_episode(0, cameras=("view",))
    finder = ViewFinder({"agentview": ("agentview",)}, (8, 8))
    assert finder.missing(episode) == []
    pictures = finder.decode(episode, [0, 2])
    np.testing.assert_array_equal(pictures, ViewFinder({"view": ("view",)}, (8, 8)).decode(episode, [0, 2]))
    assert ViewFinder({"left": ("left",), "right": ("right",)}, (8, 8)).missing(episode) == ["left", "right"]
    named = replace(episode, cameras={"wrist": episode.cameras["view"]})
    assert finder.missing(named) == ["agentview"]
