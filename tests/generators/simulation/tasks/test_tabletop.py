"""The tabletop suite: its pairs, its catalogue, its scenes."""

from functools import cache

import numpy as np
import pytest

from generators.simulation.environments.tabletop_catalog import RECEPTACLES, THINGS, Receptacle, Solid, Thing
from generators.simulation.environments.tabletop_layout import Item
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.tasks.tabletop import PAIRS, Pair, instructions, task_of
from generators.simulation.tasks.tabletop_two_hands import CLEAR
from storage.errors import ConfigError, UnknownNameError

NEW_PAIR = Pair("tray", "plate", "orange")
"""One line, of a thing and receptacles that no pair of the suite combines."""


@cache
def new_scene(placement: str = "D0") -> Scene:
    return Scene(task_of(NEW_PAIR), placement=placement)


def lowest(solid: Solid) -> float:
    """Height of the lowest point of an upright solid in its object."""
    half = sum(solid.size_m) if solid.shape == "capsule" else solid.size_m[-1]
    return solid.position_m[2] - half


def idle(scene: Scene, steps: int) -> None:
    poses = scene.actuation.poses()
    hands = {"right": np.zeros(6), "left": np.zeros(6)}
    for _ in range(steps):
        scene.step(scene.actuation.action(poses, hands))


def test_the_suite_has_eighteen_different_pairs_for_both_hands():
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 18
    assert {pair.hand for pair in PAIRS} == {"right", "left"}
    assert {pair.source for pair in PAIRS} | {pair.target for pair in PAIRS} == set(RECEPTACLES)


@pytest.mark.parametrize(
    ("pair", "message"),
    [(("plat", "bowl", "apple"), "receptacle 'plat'; did you mean plate"), (("plate", "bowl", "aple"), "thing 'aple'")],
)
def test_a_pair_of_something_unknown_names_the_nearest(pair, message):
    with pytest.raises(UnknownNameError, match=message):
        Pair(*pair)


def test_every_instruction_names_the_thing_and_where_it_goes():
    for text in instructions("sweet_potato", "cutting_board", "cardboard_box"):
        assert "the sweet potato" in text
        assert "cutting board" in text
        assert "the cardboard box" in text
    assert "in the cardboard box" in instructions("cube", "plate", "cardboard_box")[1]
    assert "on the cutting board" in instructions("cube", "plate", "cutting_board")[1]


def test_the_hand_that_rests_has_a_subtask_of_its_own():
    assert {arm: len(pieces) for arm, pieces in task_of(Pair("plate", "bowl", "cube", "left")).subtasks.items()} == {
        "left": 2,
        "right": 1,
    }


@pytest.mark.parametrize("thing", THINGS.values(), ids=list(THINGS))
def test_a_thing_stands_on_its_lowest_solid_and_fits_between_palm_and_fingers(thing: Thing):
    touching = [lowest(solid) for solid in thing.solids if solid.role != "visual"]
    assert min(touching) == pytest.approx(-thing.bottom_m, abs=1e-9)
    assert thing.top_m > 0
    assert 0.02 <= thing.grasp.radius_m <= 0.04 or thing.scene_only


@pytest.mark.parametrize("receptacle", RECEPTACLES.values(), ids=list(RECEPTACLES))
def test_a_receptacle_lies_flat_and_its_inside_is_within_it(receptacle: Receptacle):
    assert min(lowest(one) for one in receptacle.solids if one.role != "visual") == pytest.approx(0.0, abs=2e-3)
    assert receptacle.floor_m <= receptacle.wall_m
    inside = np.broadcast_to(receptacle.inside_m, 2)
    assert (inside <= np.array(receptacle.footprint_m) + 1e-9).all()


def test_a_new_pair_is_a_scene_in_which_the_thing_rests_on_its_source():
    scene = new_scene()
    scene.reset(4)
    idle(scene, 20)
    environment = scene.environment
    assert environment.rests_in("object", "source")
    assert not environment.rests_in("object", "target")
    assert environment.height_above("object", "source") < 0.005
    assert not scene.succeeded()


def test_a_thing_that_lies_in_the_target_is_success_unless_a_hand_is_on_it(monkeypatch):
    scene = new_scene()
    scene.reset(4)
    environment = scene.environment
    target = environment.pose("target")[:3, 3]
    place = [*target[:2], target[2] + environment.receptacle("target").floor_m + 0.036, 1, 0, 0, 0]
    environment.sim.data.set_joint_qpos(environment.objects["object"].joints[0], place)
    idle(scene, 20)
    assert scene.succeeded()
    monkeypatch.setattr(environment, "touched", lambda key, side: side == "right")
    assert not scene.succeeded()


def test_a_scene_follows_from_its_seed_and_moves_things_no_farther_than_it_says():
    scene = new_scene()
    scene.reset(2)
    first = state_row(scene.environment)
    places = []
    for seed in range(20):
        scene.reset(seed)
        places.append(scene.environment.pose("target")[:2, 3])
    scene.reset(2)
    np.testing.assert_array_equal(state_row(scene.environment), first)
    assert np.ptp(places, axis=0).max() <= 0.04 + 1e-9
    assert np.ptp(places, axis=0).min() > 0.02


def test_receptacles_never_overlap_and_distractors_stand_behind_them():
    scene = new_scene("D1")
    environment = scene.environment
    for seed in range(20):
        scene.reset(seed)
        apart = np.abs(environment.pose("source")[:2, 3] - environment.pose("target")[:2, 3])
        assert apart[1] > 0.15
        distractors = [environment.pose(key) for key in environment.objects if key.startswith("distractor")]
        shown = [pose for pose in distractors if pose[2, 3] > 0.9]
        assert all(pose[0, 3] > 0.15 for pose in shown)
    assert not {environment._distractor_names[0]} & {item.name for item in environment.items.values()}


def test_a_visual_randomization_follows_from_its_randomness_and_changes_no_physics():
    scene = new_scene()
    scene.reset(1)
    before = scene.model_state.changes()
    drawn = [scene.task.visual_randomization(scene.model, np.random.default_rng(seed)) for seed in (5, 6)]
    scene.model_state.put(before)
    again = scene.task.visual_randomization(scene.model, np.random.default_rng(5))
    changed = {name for name in scene.model_state.changes() if name not in before}
    scene.model_state.put(before)
    assert again == drawn[0] != drawn[1]
    assert changed <= {"geom_matid", "geom_rgba", "light_diffuse", "light_ambient", "light_dir", "cam_pos", "cam_quat"}


def test_goals_and_supports_must_be_items_of_the_scene():
    from dataclasses import replace

    wrong = replace(CLEAR, arguments={**CLEAR.arguments, "goals": {"objct": "target"}})
    with pytest.raises(ConfigError, match=r"unknown item 'objct'; did you mean object"):
        Scene(wrong)
    missing = (Item(key="source", name="placemat"), Item(key="object", name="canister", on="source"))
    with pytest.raises(ConfigError, match=r"unknown thing or receptacle 'canister'"):
        Scene(replace(CLEAR, arguments={"items": missing, "goals": {"object": "source"}}))
