"""Boxes of the target object: found in some frames, given for every frame where they hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from judges.detection.config import DetectConfig
from judges.detection.detect import Detect
from judges.detection.target import target_of
from judges.detection.tracks import filled, without_jumps
from pipelines.catalog import CATALOG
from pipelines.testing.stage_contract import check_stage
from storage.episode import Episode
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.testing import tiny_episode, tiny_images

RANDOM = Randomness(0, "detect")


class DiscDetector:
    """Finds the bright disc of `tiny_images` by its colour; sees nothing in the pictures whose numbers are `blind`."""

    def __init__(self, blind: Sequence[int] = ()) -> None:
        self.blind, self.queries = blind, list[str]()

    def __call__(self, pictures: Sequence[Any], query: str) -> tuple[Any, Any]:
        self.queries.append(query)
        boxes, scores = np.zeros((len(pictures), 4), np.float32), np.zeros(len(pictures), np.float32)
        for number, picture in enumerate(pictures):
            rows, columns = np.nonzero(picture.min(axis=2) > 170)
            if len(rows) and number not in self.blind:
                height, width = picture.shape[:2]
                x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
                boxes[number] = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
                scores[number] = 0.9
        return boxes, scores


def kept(outcome: Any) -> Episode:
    assert isinstance(outcome, Kept)
    return outcome.episode


@pytest.mark.parametrize(
    ("instruction", "target"),
    [
        ("rearrange the apple from the plate to the bowl", "apple"),
        ("Pick up the sweet potato and place it in the pan.", "sweet potato"),
        ("stack the red cube on the green cube", "red cube"),
        ("please put an egg into the carton", "egg"),
        ("open the drawer", "drawer"),
        ("wave", ""),
        ("", ""),
    ],
)
def test_the_target_is_the_thing_that_is_taken(instruction: str, target: str) -> None:
    assert target_of(instruction) == target


def test_every_frame_between_two_looks_has_a_box_in_between() -> None:
    episode = tiny_episode(3, length=12, rate_hz=10.0, instruction="move the disc to the left")
    detector = DiscDetector()
    ((outcome,),) = Detect(DetectConfig(stride_s=0.4), detector)([episode], RANDOM)
    boxes, valid = kept(outcome).arrays["label/box"], kept(outcome).arrays["label/valid/box"]
    assert detector.queries == ["disc"]
    assert valid.all()
    assert boxes[2, 0] == pytest.approx((boxes[0, 0] + boxes[4, 0]) / 2, abs=1e-5)
    assert (boxes[:, 4] > 0.5).all()


def test_where_nothing_is_seen_there_is_no_box() -> None:
    episode = tiny_episode(3, length=12, rate_hz=10.0, instruction="move the disc")
    config = DetectConfig(stride_s=0.1, longest_gap_s=0.1)
    ((outcome,),) = Detect(config, DiscDetector(blind=range(4, 8)))([episode], RANDOM)
    valid = kept(outcome).arrays["label/valid/box"]
    assert valid.tolist() == [True] * 4 + [False] * 4 + [True] * 4
    assert not kept(outcome).arrays["label/box"][4:8].any()


def test_an_instruction_without_an_object_is_dropped_with_what_helps() -> None:
    ((outcome,),) = Detect(DetectConfig(), DiscDetector())([tiny_episode(0, instruction="wave")], RANDOM)
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "no target object"
    ((asked,),) = Detect(DetectConfig(query="disc"), DiscDetector())([tiny_episode(0, instruction="wave")], RANDOM)
    assert kept(asked).provenance["detection"]["query"] == "disc"


def test_a_lone_jump_is_left_out_and_a_real_move_is_not() -> None:
    seen = np.ones(5, bool)
    steady = np.array([[0.2, 0.2, 0.1, 0.1]] * 5)
    lone, moved = steady.copy(), steady.copy()
    lone[2, 0] = 0.9
    moved[2:, 0] = 0.9
    assert without_jumps(lone, seen, jump=0.3).tolist() == [True, True, False, True, True]
    assert without_jumps(moved, seen, jump=0.3).all()


def test_long_gaps_stay_open() -> None:
    boxes = np.array([[0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.1, 0.1]])
    frames, scores, seen = np.array([0, 10]), np.array([1.0, 1.0]), np.array([True, True])
    _, near = filled(frames, boxes, scores, seen, length=12, longest_gap=10)
    _, far = filled(frames, boxes, scores, seen, length=12, longest_gap=9)
    assert near.tolist() == [True] * 11 + [False]
    assert far.tolist() == [True] + [False] * 9 + [True, False]


def test_the_starter_keeps_the_contract_of_stages() -> None:
    episodes = [tiny_episode(seed, length=4, size_px=(64, 64), instruction="lift the apple") for seed in range(2)]
    outcomes = check_stage(CATALOG["detect"], {"device": "cpu"}, episodes)
    assert all(kept(outcome).arrays["label/box"].shape == (4, 5) for (outcome,) in outcomes)


def test_the_disc_is_where_the_detector_of_these_tests_says() -> None:
    boxes, scores = DiscDetector()(list(tiny_images(1, steps=2)), "disc")
    assert (scores == 0.9).all()
    assert ((boxes > 0) & (boxes < 1)).all()
