"""The engine that chooses: small work stays, large work moves, and the bytes are the same either way."""

from pathlib import Path

import pytest

from pipelines.engines import auto
from pipelines.engines.auto import AutoEngine
from pipelines.engines.engine import Engine
from pipelines.engines.local import LocalEngine
from pipelines.engines.options import EngineOptions
from pipelines.planning.plan import planned, units_of
from pipelines.run_job import run_job
from pipelines.testing.tiny_jobs import content_of, tiny_job
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError


class Moves:
    """An auto engine over a tiny job, with a second local engine in the place of Ray; `moved` counts the moves."""

    def __init__(self, root: Path, *, units: int, cores: int = 2, has_room: bool = True) -> None:
        Dataset.create_or_open(root, name="d")
        job = tiny_job(units=units)
        self.settled = planned(job)
        self.units = units_of(self.settled, job.units)
        self.moved, self.told, self._room = 0, list[str](), has_room
        self.engine = AutoEngine(root, self.settled, start_ray=self._start, say=self.told.append, cores=cores)
        self._root = root

    def _start(self) -> Engine:
        self.moved += 1
        if not self._room:
            raise ConfigError("no node has all that")
        return LocalEngine(self._root, self.settled)

    def done(self) -> list[str]:
        return [result.unit_id for result in self.engine.attempt(self.units, alone=False)]


def test_small_work_stays_in_one_process_and_says_so(tmp_path: Path) -> None:
    moves = Moves(tmp_path / "data", units=3)
    assert moves.done() == [unit.unit_id for unit in moves.units]
    assert moves.moved == 0
    assert "one process" in moves.told[0]


def test_work_that_takes_long_moves_and_every_unit_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "WORTH_S", 0.0)
    moves = Moves(tmp_path / "data", units=6)
    assert moves.done() == [unit.unit_id for unit in moves.units]
    assert moves.moved == 1
    assert "5 units are left" in moves.told[-1]


def test_where_ray_has_no_room_one_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "WORTH_S", 0.0)
    moves = Moves(tmp_path / "data", units=4, has_room=False)
    assert moves.done() == [unit.unit_id for unit in moves.units]
    assert moves.moved == 1
    assert "no room" in moves.told[-1]


def test_one_core_never_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "WORTH_S", 0.0)
    moves = Moves(tmp_path / "data", units=4, cores=1)
    assert len(moves.done()) == 4
    assert moves.moved == 0


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, "auto"),
        ({"workers": 1}, "local"),
        ({"workers": 4}, "ray"),
        ({"address": "auto"}, "ray"),
        ({"engine": "local"}, "local"),
        ({"engine": "ray"}, "ray"),
    ],
)
def test_the_rest_of_the_options_may_leave_no_choice(given: dict[str, object], chosen: str) -> None:
    assert EngineOptions(**{"engine": "auto", **given}).chosen == chosen  # type: ignore[arg-type]


@pytest.mark.usefixtures("ray_cluster")
def test_work_that_moved_to_ray_half_way_has_the_bytes_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "WORTH_S", 0.0)
    monkeypatch.setattr(auto, "usable_cores", lambda: 2)
    run_job(tmp_path / "auto", tiny_job(("tiny_judge", {}), units=5), EngineOptions(engine="auto"))
    run_job(tmp_path / "local", tiny_job(("tiny_judge", {}), units=5))
    assert content_of(tmp_path / "auto") == content_of(tmp_path / "local")
