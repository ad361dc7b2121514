"""LeRobot v3.0: many episodes in one file, each read alone, and clear words about sets that are damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from storage.episode import Episode
from storage.errors import CorruptFileError, SchemaError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import list_items, read_episodes, read_item
from storage.formats.testing import tiny_video
from storage.formats.testing.lerobot_v3 import KEY, tiny_lerobot_v3
from storage.testing import tiny_images


def _import(root: Path, **settings: Any) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(root), **settings)))


def test_episodes_of_shared_files_are_told_apart_to_the_bit(tmp_path: Path) -> None:
    root = tiny_lerobot_v3(tmp_path / "set")
    rows = pyarrow.parquet.read_table(root / "data/chunk-000/file-000.parquet")
    at = 0
    for number, (episode, length) in enumerate(zip(_import(root, codec="high"), (8, 5, 7), strict=True)):
        expected = np.array(rows["action"].to_pylist()[at : at + length], np.float32)
        assert episode.arrays["action/ground_truth"].tobytes() == expected.tobytes()
        assert episode.arrays["timestamp"].tolist() == [step / 20 for step in range(length)]
        difference = episode.cameras["front"].decode().astype(float) - tiny_images(number * 7, steps=length)
        assert np.abs(difference).mean() < 4
        at += length


@pytest.mark.parametrize("column", ["task", "__index_level_0__"])
def test_tasks_are_found_under_either_name_of_their_index(tmp_path: Path, column: str) -> None:
    assert _import(tiny_lerobot_v3(tmp_path / "set", task_column=column))[0].instruction == "pick up the disc"


def test_a_table_of_tasks_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="expected task_index and the texts"):
        _import(tiny_lerobot_v3(tmp_path / "set", task_column="words"))


def test_frames_are_right_where_no_episode_begins_at_a_keyframe(tmp_path: Path) -> None:
    root = tiny_lerobot_v3(tmp_path / "set", keyframe_every=64)
    (*_, last) = _import(root, codec="high")
    difference = last.cameras["front"].decode().astype(float) - tiny_images(14, steps=7)
    assert np.abs(difference).mean() < 4


def test_rows_out_of_order_are_refused(tmp_path: Path) -> None:
    config = ImportConfig(path=str(tiny_lerobot_v3(tmp_path / "set", order=(1, 0, 2))))
    first, _, last = (item for unit in list_items(config) for item in unit)
    with pytest.raises(SchemaError, match="have another episode_index; the rows are out of order"):
        read_item(first, config)
    assert read_item(last, config).length == 7


@pytest.mark.parametrize("name", ["data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"])
def test_a_file_without_its_footer_tells_of_a_killed_recording(tmp_path: Path, name: str) -> None:
    root = tiny_lerobot_v3(tmp_path / "set")
    path = root / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptFileError, match="is not a readable parquet file"):
        _import(root)


def test_a_file_that_was_not_finalised_costs_its_own_episodes_alone(tmp_path: Path) -> None:
    root = tiny_lerobot_v3(tmp_path / "set")
    table = root / "meta/episodes/chunk-000/file-000.parquet"
    rows = pyarrow.parquet.read_table(table).to_pylist()
    rows[2] = {**rows[2], "data/file_index": 1}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    whole = (root / "data/chunk-000/file-000.parquet").read_bytes()
    (root / "data/chunk-000/file-001.parquet").write_bytes(whole[:-100])
    config = ImportConfig(path=str(root))
    *good, last = (item for unit in list_items(config) for item in unit)
    assert [read_item(item, config).length for item in good] == [8, 5]
    with pytest.raises(CorruptFileError, match=r"file-001.parquet is not a readable parquet file"):
        read_item(last, config)


def test_the_order_of_rows_in_the_tables_of_episodes_and_tasks_does_not_matter(tmp_path: Path) -> None:
    plain, shuffled = (tiny_lerobot_v3(tmp_path / name / "set", tasks=("open", "close")) for name in ("a", "b"))
    for name in ("meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"):
        table = pyarrow.parquet.read_table(shuffled / name)
        pyarrow.parquet.write_table(table.take(list(range(len(table)))[::-1]), shuffled / name)
    for one, other in zip(_import(plain), _import(shuffled), strict=True):
        assert (one.instruction, one.length) == (other.instruction, other.length) == ("open", one.length)
        assert (one.arrays["action/ground_truth"] == other.arrays["action/ground_truth"]).all()


def test_cameras_of_different_length_cost_their_episode_alone(tmp_path: Path) -> None:
    root = tiny_lerobot_v3(tmp_path / "set")
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.images.wrist"] = info["features"][KEY]
    (root / "meta/info.json").write_text(json.dumps(info))
    table = root / "meta/episodes/chunk-000/file-000.parquet"
    rows = pyarrow.parquet.read_table(table).to_pylist()
    moved = [{**row, **{n.replace("front", "wrist"): row[n] for n in row if n.startswith("videos/")}} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(moved), table)
    tiny_video(root / "videos/observation.images.wrist/chunk-000/file-000.mp4", tiny_images(steps=18), keyframe_every=1)
    config = ImportConfig(path=str(root))
    *good, last = (item for unit in list_items(config) for item in unit)
    assert [sorted(read_item(item, config).cameras) for item in good] == [["front", "wrist"]] * 2
    with pytest.raises(SchemaError, match="has 7 rows, 7 frames of 'front', 5 frames of 'wrist'; they must agree"):
        read_item(last, config)


def test_a_video_that_is_shorter_than_its_rows_costs_its_last_episode(tmp_path: Path) -> None:
    root = tiny_lerobot_v3(tmp_path / "set")
    images = np.concatenate([tiny_images(number * 7, steps=length) for number, length in enumerate((8, 5, 4))])
    tiny_video(root / f"videos/{KEY}/chunk-000/file-000.mp4", images, keyframe_every=1)
    config = ImportConfig(path=str(root))
    *good, last = (item for unit in list_items(config) for item in unit)
    assert [read_item(item, config).length for item in good] == [8, 5]
    with pytest.raises(SchemaError, match="has 7 rows, 4 frames of 'front'"):
        read_item(last, config)


@pytest.mark.parametrize(
    "template", ["../{chunk_index}/{file_index}", "/etc/passwd", "{chunk_index:02000000000d}", "{x.__class__}", "{0}"]
)
def test_templates_that_leave_the_folder_or_explode_are_refused(tmp_path: Path, template: str) -> None:
    root = tiny_lerobot_v3(tmp_path / "set")
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**info, "data_path": template}))
    with pytest.raises(ValueError, match=r"outside of its folder|missing or malformed"):
        _import(root)
