"""The Ray engine does what the local engine does, to the byte."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.catalog import CATALOG
from pipelines.job import Job, Policy
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import EngineOptions, run_job
from pipelines.stage import Resources
from pipelines.testing.tiny_jobs import STAGES, check_run, content_of, tiny_job
from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import Sink
from storage.errors import ConfigError, WorkFailedError, WorldError

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_both_engines_write_equal_bytes(tmp_path: Path) -> None:
    for name, engine in (("local", "local"), ("ray", "ray")):
        root = tmp_path / name
        run_job(root, tiny_job(("tiny_judge", {}), ("wild", {})), EngineOptions(engine=engine))
        dataset = Dataset.open(root)
        label = Job(
            name="label",
            stages=(("read_unit", {}), ("tiny_label", {})),
            units=label_units(dataset),
            sink="labels/tiny",
            provides=fields_of(dataset),
        )
        run_job(root, label, EngineOptions(engine=engine))
        check_run(root)
    assert content_of(tmp_path / "local") == content_of(tmp_path / "ray")


def test_segments_in_several_processes_and_an_actor_pool_write_equal_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {
        "simulated": replace(STAGES["wild"], process="simulation"),
        "on_gpu": replace(STAGES["tiny_label"], resources=Resources(gpus=0.5, memory_gb=0.1)),
    }
    for name, row in rows.items():
        monkeypatch.setitem(CATALOG, name, row)
    job = tiny_job(("simulated", {}), ("on_gpu", {}), ("tiny_judge", {}))
    for engine in ("local", "ray"):
        run_job(tmp_path / engine, job, EngineOptions(engine=engine))
    check_run(tmp_path / "ray")
    assert content_of(tmp_path / "local") == content_of(tmp_path / "ray")


def test_a_failing_unit_becomes_a_dead_letter_with_its_traceback(tmp_path: Path) -> None:
    wild = ("wild", {"fault": "strange", "seeds": [4]})
    result = run_job(
        tmp_path / "data", tiny_job(wild, policy=Policy(max_failed_fraction=0.5)), EngineOptions(engine="ray")
    )
    check_run(tmp_path / "data")
    (letter,) = result.dead_letters
    assert (letter.stage, letter.error, letter.attempts) == ("wild", "StrangeError", 3)
    assert "faulty_stage.py" in letter.traceback
    assert result.tally.committed_units == 3


def test_a_stage_that_fits_on_no_node_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, "huge", replace(STAGES["wild"], resources=Resources(cpus=512)))
    with pytest.raises(ConfigError, match="no node has all that"):
        run_job(tmp_path / "data", tiny_job(("huge", {})), EngineOptions(engine="ray"))


@pytest.mark.slow
def test_a_sick_run_ends_early_on_ray_too(tmp_path: Path) -> None:
    wild = ("wild", {"fault": "value", "seeds": list(range(120))})
    with pytest.raises(WorkFailedError, match="more than the 10% that max_failed_fraction allows"):
        run_job(tmp_path / "data", tiny_job(wild, units=60, items_per_unit=2), EngineOptions(engine="ray"))
    check_run(tmp_path / "data", ended=False)
    assert len(Sink(tmp_path / "data").dead()) < 30


def test_an_address_where_nobody_listens_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"nobody answers at ray://127\.0\.0\.1:9"):
        run_job(tmp_path / "data", tiny_job(), EngineOptions(engine="ray", address="ray://127.0.0.1:9"))
