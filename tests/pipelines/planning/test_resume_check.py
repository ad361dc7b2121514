"""What is asked before a job goes on: the same inputs, no code that data brings, and no episode twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.catalog import load_stages
from pipelines.job import Job, Until
from pipelines.planning.job_file import read_job, write_job
from pipelines.run_job import resume, run_job
from pipelines.testing.tiny_jobs import check_run, tiny_job
from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import Sink
from storage.errors import AlreadyWrittenError, ConfigError

_STAGE = """
from dataclasses import dataclass
from pathlib import Path
from pipelines.stage import Resources, Stage
from storage.ids import file_hash
from storage.outcomes import Kept

@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    model: str
    code: str = ""

    def inputs(self):
        return {"model": file_hash(Path(self.model))}

class Model:
    def __init__(self, config): pass
    def __call__(self, episodes, randomness):
        Path(__file__).with_name("ran").touch()
        return [[Kept(episode)] for episode in episodes]

STAGES = {"modelled": Stage(call=f"{__file__}:Model", config=f"{__file__}:ModelConfig",
                            resources=Resources(memory_gb=0.1))}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and the stage that uses it, which is known."""
    monkeypatch.setattr("pipelines.catalog._user_stages", {})
    (tmp_path / "stage.py").write_text(_STAGE)
    (tmp_path / "model").write_text("weights")
    load_stages([tmp_path / "stage.py", Path(__file__).parents[3] / "pipelines/testing/tiny_jobs.py"])
    return tmp_path


def modelled(folder: Path, **settings: str) -> Job:
    return tiny_job(("modelled", {"model": str(folder / "model"), **settings}))


def reopen(root: Path, units: int = 1) -> None:
    """Take back the commits of some units."""
    for unit_id in sorted(Sink(root).committed())[:units]:
        Sink(root).manifest(unit_id).unlink()


def test_a_model_that_changed_meanwhile_does_not_go_on(folder: Path) -> None:
    run_job(folder / "data", modelled(folder))
    reopen(folder / "data")
    (folder / "model").write_text("other weights")
    with pytest.raises(ConfigError, match="model of stage 'modelled' is not what it was"):
        resume(folder / "data")
    (folder / "model").write_text("weights")
    assert all(result.complete for result in resume(folder / "data"))


def test_a_plan_of_somebody_else_runs_no_code_of_its_own_unless_it_is_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(folder / "data", modelled(folder))
    reopen(folder / "data")
    (folder / "ran").unlink()
    monkeypatch.setattr("pipelines.catalog._user_stages", {})
    with pytest.raises(ConfigError, match=r"runs code that this program does not know: .*stage.py:Model.*--trust"):
        resume(folder / "data")
    assert not (folder / "ran").exists()
    assert all(result.complete for result in resume(folder / "data", trust=True))
    assert (folder / "ran").exists()


@pytest.mark.parametrize(
    "place", ["@dataset/evil.py", "@dataset/evil.py:task", "{root}/evil.py", "{root}/../data/evil.py"]
)
def test_code_inside_a_data_set_is_never_run(folder: Path, place: str) -> None:
    root = folder / "data"
    run_job(root, modelled(folder))
    reopen(root)
    (root / "evil.py").write_text("raise SystemExit('the code of the data set ran')")
    job = read_job(root, "tiny")
    source, stage = job.stages
    settings = {**stage.settings, "code": place.format(root=root)}
    (root / "plan" / "tiny.json").unlink()
    write_job(root, replace(job, stages=(source, replace(stage, settings=settings))))
    for trust in (False, True):
        with pytest.raises(ConfigError, match=r"code inside the data set, .*evil\.py.*never run"):
            resume(root, trust=trust)
    with pytest.raises(ConfigError, match="code inside the data set"):
        run_job(root, modelled(folder, code=place.format(root=root)))


def wanted(kept: int, *, name: str = "top", seed: int = 0) -> Job:
    until = Until(kept=kept, items_per_unit=4)
    return Job(name=name, stages=(("tiny_source", {}), ("tiny_judge", {"threshold": 0.4})), until=until, seed=seed)


def test_asking_for_more_goes_on_from_what_is_there_and_no_episode_is_there_twice(folder: Path) -> None:
    kept = [run_job(folder / "data", wanted(number)).tally.kept for number in (8, 16, 12)]
    assert kept[0] >= 8
    assert kept[1] == kept[2] >= 16
    check_run(folder / "data")
    assert len(Dataset.open(folder / "data")) == kept[1]


def test_the_same_episodes_under_another_name_are_refused(folder: Path) -> None:
    run_job(folder / "data", wanted(4))
    with pytest.raises(AlreadyWrittenError, match=r"job 'top' .* makes the same episodes as 'more' would"):
        run_job(folder / "data", wanted(8, name="more"))
    assert read_job(folder / "data", "top").until == wanted(4).until
