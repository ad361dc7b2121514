"""Which embodiment a LeRobot data set has: asked for, known, or derived; never guessed wrong in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.embodiment import EMBODIMENTS, Embodiment, Layout, Part
from storage.errors import SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import embodiments_of, list_items
from storage.formats.lerobot.layout import find_embodiment, modality_of
from storage.formats.lerobot.meta import read_lerobot_meta
from storage.formats.testing import tiny_lerobot


def _found(root: Path, wanted: str = "", **settings: Any) -> Embodiment:
    return find_embodiment(read_lerobot_meta(tiny_lerobot(root, numbers=(0,), cameras=(), **settings)), wanted)


def test_the_parts_that_modality_names_decide(tmp_path: Path) -> None:
    gr1 = EMBODIMENTS["gr1"]
    modality = modality_of(gr1, [], {"state": "observation.state", "action": "action"})
    assert _found(tmp_path / "set", sizes=(44, 44), robot_type="whatever", modality=modality) is gr1


@pytest.mark.parametrize(
    ("robot_type", "sizes", "name"),
    [
        ("Unitree_G1_Inspire", (26, 26), "g1_inspire"),
        ("GR1ArmsOnly", (44, 44), "gr1"),
        ("so101_follower", (6, 6), "so_arm"),
        ("widowx", (7, 7), "widowx"),
    ],
)
def test_the_type_of_the_robot_decides_where_the_sizes_fit(
    tmp_path: Path, robot_type: str, sizes: tuple[int, int], name: str
) -> None:
    assert _found(tmp_path / "set", sizes=sizes, robot_type=robot_type).name == name


def test_a_known_name_with_other_sizes_becomes_an_embodiment_of_its_own(tmp_path: Path) -> None:
    embodiment = _found(tmp_path / "set", sizes=(8, 7), robot_type="panda")
    assert (embodiment.name, embodiment.state.size, embodiment.action.size) == ("panda_8x7", 8, 7)


def test_an_unknown_robot_gets_its_parts_from_the_names_of_its_features(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=(), sizes=(3, 2), robot_type="My Robot!")
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.state"]["names"] = [["shoulder", "elbow", "left_gripper"]]
    info["features"]["action"]["names"] = {"motors": ["shoulder", "elbow"]}
    (root / "meta/info.json").write_text(json.dumps(info))
    embodiment = find_embodiment(read_lerobot_meta(root))
    assert embodiment.name.startswith("my_robot_3x2_")
    assert [(part.name, part.quantity) for part in embodiment.state.parts] == [
        ("shoulder", "joint"),
        ("elbow", "joint"),
        ("left_gripper", "gripper"),
    ]
    assert [part.name for part in embodiment.action.parts] == ["shoulder", "elbow"]


def test_an_unknown_robot_with_modality_keeps_rotations_and_gaps(tmp_path: Path) -> None:
    modality = {
        "state": {
            "eef_position": {"start": 0, "end": 3},
            "eef_rotation": {"start": 3, "end": 9, "rotation_type": "rotation_6d"},
            "gripper": {"start": 10, "end": 11},
        },
        "action": {
            "eef_position": {"start": 0, "end": 3, "absolute": False},
            "eef_rotation": {"start": 3, "end": 6, "absolute": False, "rotation_type": "axis_angle"},
        },
    }
    embodiment = _found(tmp_path / "set", sizes=(12, 6), robot_type="arm", modality=modality)
    assert [(part.name, part.quantity, part.size) for part in embodiment.state.parts] == [
        ("eef_position", "position", 3),
        ("eef_rotation", "rotation_6d", 6),
        ("unnamed_9", "joint", 1),
        ("gripper", "gripper", 1),
        ("unnamed_11", "joint", 1),
    ]
    assert [part.quantity for part in embodiment.action.parts] == ["position_delta", "axis_angle_delta"]


def test_the_embodiment_that_is_asked_for_is_taken_when_it_fits(tmp_path: Path) -> None:
    assert _found(tmp_path / "a", "gr1", sizes=(44, 44)).name == "gr1"
    with pytest.raises(SchemaError, match=r"its state has 26 numbers, that of embodiment 'gr1' has 44"):
        _found(tmp_path / "b", "gr1")


def test_a_name_that_nobody_knows_is_declared_from_the_data(tmp_path: Path) -> None:
    embodiment = _found(tmp_path / "set", "my_arm", sizes=(5, 4), robot_type="whatever")
    assert (embodiment.name, embodiment.state.size, embodiment.action.size) == ("my_arm", 5, 4)


def test_a_derived_embodiment_travels_with_its_items(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", sizes=(5, 4), robot_type="travelling robot")
    units = list_items(ImportConfig(path=str(root)))
    assert "travelling_robot_5x4" not in EMBODIMENTS
    found = embodiments_of(units)
    assert found["travelling_robot_5x4"].state.size == 5
    assert EMBODIMENTS["travelling_robot_5x4"] == found["travelling_robot_5x4"]


def test_modality_tells_trainers_rotations_and_deltas() -> None:
    embodiment = Embodiment(
        name="sketch",
        description="",
        action=Layout(
            parts=(
                Part(name="move", size=3, quantity="position_delta", unit="m"),
                Part(name="turn", size=3, quantity="euler_xyz", unit="rad"),
            )
        ),
    )
    action = modality_of(embodiment, ["ego"], {"action": "action"})["action"]
    assert action["move"] == {"start": 0, "end": 3, "original_key": "action", "dtype": "float32", "absolute": False}
    assert (action["turn"]["start"], action["turn"]["rotation_type"]) == (3, "euler_angles_rpy")
