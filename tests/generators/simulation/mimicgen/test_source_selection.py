from dataclasses import replace

import numpy as np

from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.mimicgen.source_selection import Choice, select
from generators.simulation.task.specification import Subtask


def source_with_cube_at(x: float, hand_x: float = 0.0) -> SourceDemonstration:
    cube, hand = np.eye(4), np.eye(4)
    cube[0, 3], hand[0, 3] = x, hand_x
    return SourceDemonstration(
        name=f"at {x}",
        length=1,
        poses={"arm": hand[None]},
        targets={"arm": hand[None]},
        hands={"arm": np.zeros((1, 1))},
        objects={"cube": cube[None]},
        signals={},
        ends={"arm": (1,)},
    )


def choice(strategy: str, sources, k: int = 1) -> Choice:
    made = Choice("arm", 0, Subtask(name="grasp", reference="cube", selection=strategy, nearest_k=k), sources)
    made.object_now, made.hand_now = np.eye(4), np.eye(4)
    return made


def chosen(made: Choice, **options) -> set[int]:
    return {select(made, np.random.default_rng(seed), **options) for seed in range(40)}


def test_the_nearest_object_wins():
    assert chosen(choice("nearest_object", [source_with_cube_at(x) for x in (0.3, 0.1, 0.2)])) == {1}


def test_one_of_the_k_nearest_is_drawn():
    assert chosen(choice("nearest_object", [source_with_cube_at(x) for x in (0.3, 0.1, 0.2)], k=2)) == {1, 2}


def test_the_nearest_robot_is_judged_after_the_transform():
    # The hand was 0.1 m behind the cube in both; with the cube now at 0 both transformed hands begin at their offset.
    sources = [source_with_cube_at(0.5, hand_x=0.5), source_with_cube_at(0.0, hand_x=0.1)]
    assert chosen(choice("nearest_robot", sources)) == {0}


def test_random_draws_from_all():
    assert chosen(choice("random", [source_with_cube_at(x) for x in (0.3, 0.1, 0.2)])) == {0, 1, 2}


def test_sources_tried_in_vain_are_passed_over_while_others_are_left():
    made = choice("nearest_object", [source_with_cube_at(x) for x in (0.3, 0.1, 0.2)])
    assert chosen(made, avoid=frozenset({1})) == {2}
    assert chosen(made, avoid=frozenset({0, 1, 2})) == {1}


def test_rotation_counts_with_its_weight():
    turned = source_with_cube_at(0.0)
    pose = np.eye(4)
    pose[:2, :2] = [[0, -1], [1, 0]]
    turned = replace(turned, objects={"cube": pose[None]})
    assert chosen(choice("nearest_object", [turned, source_with_cube_at(0.1)])) == {1}
