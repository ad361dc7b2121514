"""Simulated people: what moves, what stays, and that a take follows from its seed."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lapa.people import clips
from benchmarks.lapa.people.motion import Person, minimum_jerk, person
from benchmarks.lapa.people.scene import SIDES, scene_xml, texture
from generators.simulation import check_graphics

STEPS, OBJECTS = 80, 5


def take(seed: int) -> Person:
    return person(np.random.default_rng(seed), steps=STEPS, rate_hz=20.0, objects=OBJECTS)


@pytest.mark.parametrize("seed", range(6))
def test_every_pose_is_rigid_and_nothing_jumps(seed: int) -> None:
    made = take(seed)
    for poses in (*made.hands, *made.objects, made.head):
        turned = poses[:, :3, :3]
        assert np.allclose(turned @ turned.swapaxes(1, 2), np.eye(3), atol=1e-6)
        assert np.allclose(np.linalg.det(turned), 1)
        assert np.abs(np.diff(poses[:, :3, 3], axis=0)).max() < 0.25
    assert made.curl.min() >= 0
    assert made.curl.max() <= 1


def test_a_still_head_is_still_and_a_turning_one_turns() -> None:
    takes = [take(seed) for seed in range(30)]
    still = [each for each in takes if each.manner == "still"]
    turns = [each for each in takes if each.manner == "turns"]
    assert still
    assert turns
    assert all(np.ptp(each.head, axis=0).max() == 0 for each in still)
    assert all(np.ptp(each.head[:, :3, 2], axis=0).max() > 0.02 for each in turns)


def test_things_move_only_where_a_hand_carries_them() -> None:
    carried = 0
    for made in (take(seed) for seed in range(8)):
        for thing in made.objects:
            moving = np.abs(np.diff(thing[:, :3, 3], axis=0)).max(axis=1) > 1e-6
            near = np.linalg.norm(made.hands[:, 1:, :3, 3] - thing[None, 1:, :3, 3], axis=2).min(axis=0)
            assert (near[moving] < 0.2).all()
            carried += int(moving.any())
    assert carried


def test_a_take_follows_from_its_seed() -> None:
    assert np.array_equal(take(3).hands, take(3).hands)
    assert scene_xml(np.random.default_rng(3), OBJECTS) == scene_xml(np.random.default_rng(3), OBJECTS)
    assert not np.array_equal(texture(np.random.default_rng(3)), texture(np.random.default_rng(4)))


def test_the_scene_is_one_that_mujoco_builds() -> None:
    check_graphics()  # the package tells MuJoCo how to draw before it is imported
    import mujoco

    xml, textures = scene_xml(np.random.default_rng(0), OBJECTS)
    model = mujoco.MjModel.from_xml_string(xml, assets=textures)
    names = {model.body(place).name for place in range(model.nbody)}
    assert {"head", *SIDES, *(f"object{number}" for number in range(OBJECTS)), "right_little3", "left_thumb0"} <= names


def test_a_data_set_holds_as_many_takes_as_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "IN_UNIT", 2)
    monkeypatch.setattr(clips, "STEPS", 4)
    made = clips.people_dataset(tmp_path / "people", 5, seed=0)
    takes = sorted(str(episode.provenance["source"]["take"]) for episode in made.episodes())
    assert takes == [f"0/{number}" for number in range(5)]


def test_reaching_starts_and_ends_at_rest() -> None:
    share = minimum_jerk(np.linspace(0, 1, 101))
    assert (share[0], share[-1]) == (0, 1)
    assert (np.diff(share) >= 0).all()
    assert max(share[1], 1 - share[-2]) < 1e-4
