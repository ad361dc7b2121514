"""From a command to its stage a reader follows six calls downwards, and no more."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.catalog import CATALOG
from pipelines.stage import Stage
from workflows.cli import app

ROOT = Path(__file__).resolve().parents[2]
_STAGE = """
import traceback
from pathlib import Path
from storage.outcomes import Kept
from storage.testing import tiny_episode

class Multiply:
    def __init__(self, config): pass
    def __call__(self, items, randomness):
        calls = [f"{Path(frame.filename).name}:{frame.name}" for frame in traceback.extract_stack()]
        Path(__file__).with_name("calls.txt").write_text("\\n".join(calls))
        return [[Kept(tiny_episode(seed))] for seed, _ in enumerate(items)]
"""


def test_from_pyramid_generate_to_the_stage_are_at_most_six_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(_STAGE)
    row = CATALOG["multiply"]
    writes = row.writes | {"video/{}"}
    mine = Stage(call=f"{tmp_path}/mine.py:Multiply", config=row.config, writes=writes, source=True)
    monkeypatch.setitem(CATALOG, "multiply", mine)
    command = ["generate", "stack", "--keep", "1", "--output", str(tmp_path / "data"), "--engine", "local"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    road = calls[calls.index("runs.py:generate") + 1 :]
    assert road[0] == "run_job.py:run_job"
    assert road[-1] == "mine.py:__call__"
    assert len(road) <= 6, road
