"""The rule that says what becomes of the red cube in a clip, and what is asked of the judge."""

import numpy as np

from benchmarks.judge.dreams import ASKED, as_episode, left_place
from storage.testing import tiny_episode

WHITE, RED, GREY = (250, 250, 245), (190, 40, 50), (120, 120, 120)


def clip_of(*places: tuple[int, int] | None, covered: bool = False) -> np.ndarray:
    """A white table with a red cube at a place (row, column) in each frame; at the end an arm may cover its first."""
    frames = np.full((len(places), 64, 64, 3), WHITE, np.uint8)
    for frame, place in zip(frames, places, strict=True):
        if place is not None:
            frame[place[0] : place[0] + 5, place[1] : place[1] + 5] = RED
    if covered and places[0] is not None:
        row, column = places[0]
        frames[-1, row - 4 : row + 8, column - 4 : column + 8] = GREY
    return frames


def test_a_cube_has_left_its_place_where_the_table_is_seen_there() -> None:
    assert left_place(clip_of((30, 30), (25, 31), (12, 31)))
    assert left_place(clip_of((30, 30), None))  # faded in the gripper
    assert not left_place(clip_of((30, 30), (30, 30)))
    assert not left_place(clip_of((30, 30), (31, 31)))
    assert not left_place(clip_of((30, 30), (30, 30), covered=True))


def test_without_a_red_cube_none_has_left() -> None:
    assert not left_place(clip_of(None, None))


def test_every_dream_is_asked_about_under_the_same_instruction_and_names_its_parent() -> None:
    parent = tiny_episode(0)
    clip = as_episode(clip_of((30, 30), (12, 31)), parent)
    assert (clip.instruction, clip.parent_id, clip.layer) == (ASKED, parent.episode_id, "neural")
