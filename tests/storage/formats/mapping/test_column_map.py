"""The mapping language: what it says, what it refuses, and the file that it may be kept in."""

from pathlib import Path

import numpy as np
import pytest

from storage.errors import ConfigError, MissingFileError, SchemaError, UnknownNameError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.mapping.column_map import MAP_FILE, Piece, find_column, parse_map, read_map_file
from storage.formats.mapping.fates import Fate
from storage.formats.mapping.guess import guess_mapping
from storage.formats.testing.laboratories import numbers, tiny_aloha


def test_slices_scales_and_quaternions_are_read() -> None:
    found = parse_map({"state": "a[0:3], b|scale=0.001, q[4:8]|xyzw", "camera.top": "img|chw|flipped", "rate_hz": "30"})
    assert found.state == (
        Piece(column="a", start=0, stop=3),
        Piece(column="b", scale=0.001),
        Piece(column="q", start=4, stop=8, xyzw=True),
    )
    assert found.cameras is not None
    assert found.cameras["top"].options == {"chw", "flipped"}
    assert found.rate_hz == 30.0


def test_a_quaternion_is_turned_and_a_scale_applied() -> None:
    rows = np.arange(8.0).reshape(2, 4)
    assert Piece(column="q", xyzw=True).of(rows).tolist() == [[3, 0, 1, 2], [7, 4, 5, 6]]
    assert Piece(column="x", start=1, stop=2, scale=10.0).of(rows).tolist() == [[10], [50]]
    with pytest.raises(SchemaError, match=r"asks for x\[3:9\]; the column has 4"):
        Piece(column="x", start=3, stop=9).of(rows)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"stat": "a"}, "did you mean state"),
        ({"state": "a|scale=x"}, "scale of a mapping is a number"),
        ({"state": "a|turned"}, "unknown option of a mapping"),
        ({"camera.a": "b|upside"}, "unknown option of a camera"),
        ({"rate_hz": "-3"}, "rate_hz of a mapping is a number"),
        ({"state": "a[1:2:3]"}, r"a piece of a mapping is COLUMN"),
    ],
)
def test_what_it_cannot_mean_is_refused(settings: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_map(settings)


def test_dots_and_slashes_are_one() -> None:
    assert find_column("obs.qpos", ["obs/qpos", "obs/qvel"], "a file") == "obs/qpos"
    with pytest.raises(UnknownNameError, match="did you mean obs/qpos"):
        find_column("obs.qpo", ["obs/qpos"], "a file")


def test_a_file_beside_the_data_is_found_and_flags_come_before_it(tmp_path: Path) -> None:
    root = tiny_aloha(tmp_path / "set", episodes=1)
    (root / MAP_FILE).write_text("state: observations/qvel\naction: [action]\nrate_hz: 25\n")
    (episode,) = read_episodes(ImportConfig(path=str(root)))
    assert (episode.arrays["state"] == numbers(90, 6, 14).astype(np.float32)).all()
    assert episode.rate_hz == 25.0
    (episode,) = read_episodes(ImportConfig(path=str(root), map={"state": "observations/qpos[0:7]"}))
    assert episode.arrays["state"].shape == (6, 7)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="pyramid data inspect"):
        read_map_file(tmp_path / "none.yaml")
    (tmp_path / "bomb.yaml").write_text("a: &a [x, x]\nstate: [*a, *a]\n")
    with pytest.raises(ConfigError, match="uses YAML aliases"):
        read_map_file(tmp_path / "bomb.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_map_file(tmp_path / "list.yaml")


def test_the_guess_names_what_looks_like_state_and_action() -> None:
    fates = [
        Fate(column=name, became="foreign", detail=f"foreign/{name}", width=7)
        for name in ("arm_joint_pos", "arm_joint_vel", "joint_target", "object_pose")
    ]
    assert guess_mapping(fates) == {"state": "arm_joint_pos", "action": "joint_target"}


def test_observations_of_any_name_are_guessed_as_state() -> None:
    names = ("obs/arm", "obs/hand", "obs/arm_vel", "rewards")
    fates = [Fate(column=name, became="foreign", detail=f"foreign/{name}", width=6) for name in names]
    assert guess_mapping(fates) == {"state": "obs/arm, obs/hand"}
