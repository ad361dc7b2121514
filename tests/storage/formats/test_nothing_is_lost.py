"""Nothing is lost silently: what is not recognised is listed, refused or read, and names stay what they were."""

import json
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import embodiments_of, fates_of, list_items, read_episodes
from storage.formats.mapping.fates import fate_table
from storage.formats.testing import read_parquet, tiny_lerobot, write_parquet
from storage.formats.untrusted.limits import check_encoded_image
from storage.formats.untrusted.pictures import decode_as_it_is, decode_colour
from storage.testing import tiny_images


def _import(root: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(root), **settings)))


def _renamed(root: Path, names: dict[str, str]) -> Path:
    """A data set whose columns and features are called as `names` says."""
    tiny_lerobot(root, numbers=(0,), sizes=(6, 6))
    path = root / "data/chunk-000/episode_000000.parquet"
    write_parquet({names.get(name, name): values for name, values in read_parquet(path).items()}, path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {names.get(name, name): feature for name, feature in info["features"].items()}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def _one_column_a_part(root: Path) -> Path:
    parts = {
        "observation.states.joint.position": 4,
        "observation.states.effector.position": 2,
        "actions.joint.position": 4,
    }
    tiny_lerobot(root, numbers=(0,), cameras=())
    path = root / "data/chunk-000/episode_000000.parquet"
    rows = {name: values for name, values in read_parquet(path).items() if name not in ("observation.state", "action")}
    rows |= {name: np.full((8, width), width, np.float32) for name, width in parts.items()}
    write_parquet(rows, path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {name: {"dtype": "float32", "shape": [width], "names": None} for name, width in parts.items()}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def test_usual_names_of_columns_are_recognised(tmp_path: Path) -> None:
    root = _renamed(tmp_path / "set", {"observation.state": "state", "action": "actions"})
    (episode,) = _import(root)
    rows = read_parquet(root / "data/chunk-000/episode_000000.parquet")
    assert (episode.arrays["state"] == rows["state"].astype(np.float32)).all()
    assert (episode.arrays["action/ground_truth"] == rows["actions"].astype(np.float32)).all()


def test_one_column_for_each_part_becomes_one_vector(tmp_path: Path) -> None:
    (episode,) = _import(_one_column_a_part(tmp_path / "set"))
    assert episode.arrays["state"][0].tolist() == [4, 4, 4, 4, 2, 2]
    assert episode.arrays["action/ground_truth"].shape == (8, 4)


def test_a_source_of_unknown_names_is_refused_with_its_columns_and_the_flag(tmp_path: Path) -> None:
    root = _renamed(tmp_path / "set", {"observation.state": "bulk", "action": "wishes"})
    with pytest.raises(SchemaError, match=r"bulk \(6\), wishes \(6\).*--map action=COLUMN.*--allow-no-actions"):
        _import(root)
    with pytest.raises(SchemaError, match="no column was recognised as the state"):
        _import(root, map={"action": "wishes"})
    (episode,) = _import(root, map={"action": "wishes", "state": "bulk[1:3], bulk[0:1]|scale=2"})
    rows = read_parquet(root / "data/chunk-000/episode_000000.parquet")["bulk"]
    expected = np.column_stack([rows[:, 1:3], rows[:, :1] * 2]).astype(np.float32)
    assert (episode.arrays["state"] == expected).all()
    assert "foreign/bulk" in _import(root, allow_no_actions=True, allow_no_state=True)[0].arrays


def test_the_table_names_every_column_and_camera(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", columns={"next.reward": 0.5, "note": np.array(["a"] * 8)})
    fates = {fate.column: fate.became for fate in fates_of(ImportConfig(path=str(root)))}
    columns = pyarrow.parquet.read_schema(root / "data/chunk-000/episode_000000.parquet").names
    assert set(columns) | {"observation.images.ego"} == set(fates)
    assert (fates["note"], fates["next.reward"], fates["observation.images.ego"]) == ("left out", "foreign", "camera")
    assert "left out" in fate_table(fates_of(ImportConfig(path=str(root))))


def test_lerobot_v1_is_refused_with_the_name_of_what_converts_it(tmp_path: Path) -> None:
    (tmp_path / "meta_data").mkdir()
    (tmp_path / "meta_data/info.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"LeRobot v1.*convert_dataset_v1_to_v2"):
        _import(tmp_path)


def test_a_folder_of_data_sets_is_imported_whole(tmp_path: Path) -> None:
    tiny_lerobot(tmp_path / "a/set", numbers=(0, 1), sizes=(6, 6), cameras=())
    tiny_lerobot(tmp_path / "b", numbers=(0,), sizes=(7, 7), cameras=())
    episodes = _import(tmp_path)
    assert len({episode.episode_id for episode in episodes}) == 3
    assert all(set(episode.arrays) >= {"state", "action/ground_truth"} for episode in episodes)


def test_two_layouts_of_one_robot_type_are_two_embodiments(tmp_path: Path) -> None:
    names = []
    for size in (6, 7):
        root = tiny_lerobot(tmp_path / str(size), numbers=(0,), sizes=(size, size), robot_type="unknown", cameras=())
        names += list(embodiments_of(list_items(ImportConfig(path=str(root)))))
    assert names == ["unknown_6x6", "unknown_7x7"]


def test_equal_sizes_with_other_joint_names_are_not_pooled(tmp_path: Path) -> None:
    found = []
    for joints in (["a", "b"], ["a", "c"]):
        root = tiny_lerobot(tmp_path / joints[1], numbers=(0,), sizes=(2, 2), robot_type="unknown", cameras=())
        info = json.loads((root / "meta/info.json").read_text())
        info["features"]["action"]["names"] = joints
        (root / "meta/info.json").write_text(json.dumps(info))
        found += list(embodiments_of(list_items(ImportConfig(path=str(root)))))
    assert len(set(found)) == 2


@pytest.mark.parametrize("text", ["pick\u2028the cube", "pick\u0085the cube", "pick\u2029it\x0cup"])
def test_separators_within_a_text_do_not_end_its_line(tmp_path: Path, text: str) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=())
    (root / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": text}, ensure_ascii=False) + "\n")
    assert _import(root)[0].instruction == text


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=())
    for path in (root / "meta").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert _import(root)[0].instruction == "pick up the disc"


def test_a_repeated_line_is_named_and_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tiny_lerobot(tmp_path / "set", cameras=())
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    (root / "meta/episodes.jsonl").write_text("\n".join([*lines, lines[1]]) + "\n")
    with caplog.at_level(logging.WARNING):
        assert len(_import(root)) == 3
    assert "line 4: episode_index 1 stands there again" in caplog.text


def test_stamps_that_go_back_are_refused_with_their_row(tmp_path: Path) -> None:
    stamps = np.array([0, 0.05, 0.1, 0.15, 0.0, 0.05, 0.1, 0.15], np.float32)
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=(), columns={"timestamp": stamps})
    with pytest.raises(SchemaError, match=r"time stamps go back at row 4 \(0\.15 s, then 0 s\)"):
        _import(root)


@pytest.mark.parametrize("column", ["annotation.language.language_instruction", "language_instruction"])
def test_an_instruction_in_a_column_of_text_is_taken(tmp_path: Path, column: str) -> None:
    texts = np.array(["put the marker in the cup"] * 8)
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=(), columns={column: texts}, tasks=("",))
    assert _import(root)[0].instruction == "put the marker in the cup"


def test_another_column_of_text_is_taken_where_it_is_named(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=(), columns={"remark": np.array(["go"] * 8)})
    assert _import(root, instruction_column="remark")[0].instruction == "go"


def test_depth_in_png_keeps_its_16_bits(tmp_path: Path) -> None:
    depth = tiny_images(steps=8)[..., 0].astype(np.uint16) * 257
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=())
    path = root / "data/chunk-000/episode_000000.parquet"
    table = pyarrow.parquet.read_table(path)
    cells = [{"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None} for image in depth]
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    pyarrow.parquet.write_table(table.append_column("observation.images.depth", pyarrow.array(cells, kind)), path)
    info = json.loads((root / "meta/info.json").read_text())
    about = {"dtype": "image", "shape": [32, 48, 1], "names": None, "info": {"video.is_depth_map": True}}
    info["features"]["observation.images.depth"] = about
    (root / "meta/info.json").write_text(json.dumps(info))
    (episode,) = _import(root)
    assert episode.cameras["depth"].codec == "depth"
    assert (episode.cameras["depth"].decode() == depth).all()


def test_depth_in_grey_video_keeps_its_12_bits(tmp_path: Path) -> None:
    depth = tiny_images(steps=8, height_px=64, width_px=64)[..., 0].astype(np.uint16) * 16
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=("ego", "depth"))
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.images.depth"]["info"] = {"video.is_depth_map": True}
    (root / "meta/info.json").write_text(json.dumps(info))
    _grey_video(root / "videos/chunk-000/observation.images.depth/episode_000000.mp4", depth)
    (episode,) = _import(root)
    assert episode.cameras["depth"].codec == "depth"
    assert (episode.cameras["depth"].decode() == depth).all()


def _grey_video(path: Path, images: Any) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=20, options={"x265-params": "lossless=1:log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *images.shape[1:], "gray12le"
        for image in images:
            frame = av.VideoFrame(images.shape[2], images.shape[1], "gray12le")
            padding = frame.planes[0].line_size // 2 - images.shape[2]
            frame.planes[0].update(np.pad(image, ((0, 0), (0, padding))).astype("<u2").tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_depth_that_lies_in_colour_video_is_left_out_and_said_so(tmp_path: Path) -> None:
    root = tiny_lerobot(tmp_path / "set", numbers=(0,), cameras=("ego", "depth"))
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.images.depth"]["info"] = {"is_depth_map": True}
    (root / "meta/info.json").write_text(json.dumps(info))
    (episode,) = _import(root)
    assert list(episode.cameras) == ["ego"]
    fates = {fate.column: fate for fate in fates_of(ImportConfig(path=str(root)))}
    assert fates["observation.images.depth"].became == "left out"


@pytest.mark.parametrize("decode", [decode_colour, decode_as_it_is])
@pytest.mark.parametrize("content", [b"", b"nothing", b"\x89PNG\r\n\x1a\n", b"BM" + b"\xff" * 60])
def test_bytes_that_are_no_picture_are_told_in_one_way(decode: Callable[[str, bytes], Any], content: bytes) -> None:
    with pytest.raises(CorruptFileError, match="a picture"):
        decode("a picture", content)


def test_a_picture_that_promises_more_than_it_can_hold_is_not_decoded() -> None:
    content = bytearray(cv2.imencode(".png", np.zeros((8, 8), np.uint16))[1].tobytes())
    check_encoded_image("a", bytes(content))
    content[16:24] = struct.pack(">II", 7000, 7000)
    with pytest.raises(CorruptFileError, match="cannot hold the 7000x7000 px that they promise"):
        check_encoded_image("a", bytes(content))
    content[16:24] = struct.pack(">II", 1 << 30, 1 << 30)
    with pytest.raises(CorruptFileError, match="at most 64 megapixels are read"):
        check_encoded_image("a", bytes(content))
