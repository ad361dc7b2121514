"""Subtasks and language columns: read whole, given back by LeRobot v3.0, in GR00T's spans, and counted elsewhere."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from storage.episode import Episode
from storage.formats.groot.exporter import GrootExport, export_groot
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import fates_of, read_episodes
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.formats.lerobot.v3.language import EVENTS, LANGUAGE_FEATURES, PERSISTENT, language_arrays
from storage.formats.testing.lerobot_v3 import KEY, add_columns, tiny_lerobot_v3

DATA = "data/chunk-000/file-000.parquet"
V3 = LeRobotExport(version="v3.0")
REACH = {"role": "assistant", "content": "reach", "style": "subtask", "timestamp": 0.0, "camera": None}
GRASP = {"role": "assistant", "content": "grasp", "style": "subtask", "timestamp": 0.15, "camera": None}
BOX = {"role": "user", "content": "where is it?", "style": "vqa", "camera": KEY, "tool_calls": ['{"name": "say"}']}


def _import(root: Path) -> list[Episode]:
    return list(read_episodes(ImportConfig(path=str(root))))


def _annotated(root: Path) -> Path:
    """Two episodes: one with subtasks and a question at step 2, one with nothing said."""
    tiny_lerobot_v3(root, lengths=(8, 5))
    persistent = [{**entry, "tool_calls": None} for entry in (REACH, GRASP)]
    parts = [
        language_arrays({"persistent": persistent, "events": [[2, [BOX]]]}, 8),
        language_arrays({}, 5),
    ]
    columns = {name: pyarrow.concat_arrays([part[name] for part in parts]) for name in (PERSISTENT, EVENTS)}
    return add_columns(root, columns, LANGUAGE_FEATURES)


def _subtasks(root: Path) -> Path:
    """Two episodes in the older form: a column that points into meta/subtasks.parquet."""
    tiny_lerobot_v3(root, lengths=(4, 3))
    table = pyarrow.table({"subtask_index": [0, 1], "subtask": ["reach", "grasp"]})
    pyarrow.parquet.write_table(table, root / "meta/subtasks.parquet")
    feature = {"subtask_index": {"dtype": "int64", "shape": [1], "names": None}}
    return add_columns(root, {"subtask_index": pyarrow.array([0, 0, 1, 1, -1, 1, 1])}, feature)


def _columns(root: Path) -> dict[str, list[Any]]:
    table = pyarrow.parquet.read_table(root / DATA)
    columns: dict[str, list[Any]] = table.select([PERSISTENT, EVENTS]).to_pydict()
    return columns


def _episode_rows(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "meta/episodes.jsonl").read_text().split("\n") if line]


def test_language_columns_come_back_cell_by_cell(tmp_path: Path) -> None:
    source = _annotated(tmp_path / "source")
    export_lerobot(_import(source), tmp_path / "out", V3)
    assert _columns(tmp_path / "out") == _columns(source)
    features = json.loads((tmp_path / "out/meta/info.json").read_text())["features"]
    assert {name: features[name] for name in (PERSISTENT, EVENTS)} == LANGUAGE_FEATURES
    schemas = [
        pyarrow.parquet.read_schema(root / "data/chunk-000/file-000.parquet") for root in (source, tmp_path / "out")
    ]
    assert schemas[0].field(PERSISTENT).type == schemas[1].field(PERSISTENT).type


def test_a_subtask_holds_until_the_next_and_an_event_for_its_step(tmp_path: Path) -> None:
    said, silent = (episode.provenance["imported"] for episode in _import(_annotated(tmp_path / "set")))
    assert said["annotations"]["language.subtask"] == [[0, "reach"], [3, "grasp"]]
    assert said["annotations"]["language.vqa"] == [[0, ""], [2, "where is it?"], [3, ""]]
    assert "annotations" not in silent
    fates = {fate.column: fate.became for fate in fates_of(ImportConfig(path=str(tmp_path / "set")))}
    assert fates[PERSISTENT] == fates[EVENTS] == "text"


def test_a_table_of_subtasks_comes_back(tmp_path: Path) -> None:
    source = _import(_subtasks(tmp_path / "source"))
    export_lerobot(source, tmp_path / "out", V3)
    again = _import(tmp_path / "out")
    for one, other in zip(source, again, strict=True):
        runs = [each.provenance["imported"]["annotations"]["subtask_index"] for each in (one, other)]
        assert runs[0] == runs[1]
    assert runs[0] == [[0, ""], [1, "grasp"]]
    table = pyarrow.parquet.read_table(tmp_path / "out/meta/subtasks.parquet").to_pandas()
    assert table.loc["grasp"].subtask_index == list(table.index).index("grasp")


def test_groot_reads_subtasks_as_spans(tmp_path: Path) -> None:
    for name, make in (("language", _annotated), ("table", _subtasks)):
        export_groot(_import(make(tmp_path / name / "source")), tmp_path / name / "out", GrootExport(version="n1.7"))
    rows = [
        json.loads(line)
        for path in sorted((tmp_path / "language/out").rglob("episodes.jsonl"))
        for line in path.read_text().split("\n")
        if line
    ]
    spans = [row.get("sub_tasks") for row in rows]
    assert [{"start": 0, "end": 3, "text": "reach"}, {"start": 3, "end": 8, "text": "grasp"}] in spans
    assert [row["sub_tasks"] for row in _episode_rows(tmp_path / "table/out")] == [
        [{"start": 0, "end": 2, "text": "reach"}, {"start": 2, "end": 4, "text": "grasp"}],
        [{"start": 1, "end": 3, "text": "grasp"}],
    ]


def test_what_v2_has_no_place_for_is_counted_and_its_texts_are_kept(tmp_path: Path) -> None:
    said, _ = _import(_annotated(tmp_path / "source"))
    report = export_lerobot([said], tmp_path / "out")
    assert report.left_out == {"roles, cameras and tool calls of the language columns": 1}
    (again,) = _import(tmp_path / "out")
    annotations = again.provenance["imported"]["annotations"]
    assert annotations["annotation.language.subtask"] == [[0, "reach"], [3, "grasp"]]


def test_what_a_table_of_episodes_says_besides_comes_back(tmp_path: Path) -> None:
    source = tiny_lerobot_v3(tmp_path / "source", lengths=(4, 3))
    path = source / "meta/episodes/chunk-000/file-000.parquet"
    table = pyarrow.parquet.read_table(path).append_column("operator", pyarrow.array(["ann", None]))
    table = table.append_column("sparse_subtask_names", pyarrow.array([["reach"], ["grasp", "lift"]]))
    pyarrow.parquet.write_table(table, path)
    for version, target in (("v3.0", "three"), ("v2.1", "two")):
        export_lerobot(_import(source), tmp_path / target, LeRobotExport(version=version))  # type: ignore[arg-type]
        first, second = (each.provenance["imported"]["episode"] for each in _import(tmp_path / target))
        assert first == {"operator": "ann", "sparse_subtask_names": ["reach"]}
        assert second == {"sparse_subtask_names": ["grasp", "lift"]}
    assert "episodes: operator" in {fate.column for fate in fates_of(ImportConfig(path=str(source)))}


def test_validity_is_no_task_of_an_episode(tmp_path: Path) -> None:
    from storage.formats.testing import tiny_lerobot

    source = _import(tiny_lerobot(tmp_path / "source", numbers=(0,)))
    export_lerobot(source, tmp_path / "out")
    assert _episode_rows(tmp_path / "out")[0]["tasks"] == ["pick up the disc"]
