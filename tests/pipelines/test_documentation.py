import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "stages-and-runs.md"


def test_the_examples_of_the_page_work_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage, *blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "brightness.py").write_text(stage)
    names: dict[str, object] = {"__file__": str(tmp_path / "brightness.py"), "__name__": "brightness"}
    assert len(blocks) == 3
    for block in (stage, *blocks):
        exec(compile(block, str(PAGE), "exec"), names)


def test_every_file_that_the_page_names_is_there() -> None:
    root = PAGE.parents[1]
    named = re.findall(r"`((?:pipelines|storage)/[a-z_]+\.py)`", PAGE.read_text())
    assert named
    assert [name for name in named if not (root / name).is_file()] == []
