from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.catalog import CATALOG, find_stage, load_stages
from pipelines.run_job import run_job
from pipelines.stage import Stage
from pipelines.testing.stage_contract import check_row, check_stage
from pipelines.testing.tiny_jobs import STAGES, check_run, tiny_job
from storage.errors import ConfigError, MissingFileError, StageContractError
from storage.testing import tiny_dataset, tiny_episode

SHIPPED = sorted(name for name in CATALOG if name != "wild_gpu")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_keeps_the_contract(name: str) -> None:
    check_row(name, CATALOG[name])


@pytest.mark.parametrize("name", ["tiny_judge", "tiny_label", "wild"])
def test_the_test_stages_keep_their_law(name: str) -> None:
    check_row(name, STAGES[name])
    check_stage(STAGES[name], {}, [tiny_episode(seed) for seed in range(5)])


def test_reading_units_keeps_the_law_of_stages(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    items = [{"unit": unit_id} for unit_id in dataset.units()]
    outcomes = check_stage(CATALOG["read_unit"], {"dataset": str(dataset.root)}, items)
    assert [len(found) for found in outcomes] == [3, 3]


def test_the_contract_notices_a_stage_that_looks_at_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "nosy.py"
    path.write_text(USER_FILE.format(body="Dropped(episode_id=e.episode_id, reason=f'{len(episodes)} of us')"))
    load_stages([path])
    with pytest.raises(AssertionError, match="one by one it decides differently"):
        check_stage(find_stage("mine"), {}, [tiny_episode(1), tiny_episode(2)])


def test_a_stage_from_a_users_file_runs_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text(USER_FILE.format(body="Kept(e)").replace('"mine"', '"passing"'))
    load_stages([path])
    run_job(tmp_path / "data", tiny_job(("passing", {})))
    check_run(tmp_path / "data")


def test_a_stage_file_without_stages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ConfigError, match="must hold STAGES"):
        load_stages([tmp_path / "empty.py"])
    with pytest.raises(MissingFileError, match="no Python file"):
        load_stages([tmp_path / "missing.py"])


def test_a_users_stage_may_not_take_the_name_of_another(tmp_path: Path) -> None:
    path = tmp_path / "thief.py"
    path.write_text(USER_FILE.format(body="Kept(e)").replace('"mine"', '"read_unit"'))
    with pytest.raises(ConfigError, match="choose another name"):
        load_stages([path])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Kept(e.adding(arrays={'foreign/x': np.zeros((e.length, 1))}))", "wrote 'foreign/x'; its row declares"),
        ("e", "must return Kept and Dropped; got {'Episode': 1}"),
    ],
)
def test_a_stage_that_breaks_its_contract_is_told_how(tmp_path: Path, body: str, text: str) -> None:
    from pipelines.unit.outcome_check import check_outcomes
    from storage.ids import Randomness

    path = tmp_path / f"breaks_{len(body)}.py"
    path.write_text(USER_FILE.format(body=body).replace('"mine"', f'"breaks_{len(body)}"'))
    load_stages([path])
    episodes = [tiny_episode(1)]
    outcomes = find_stage(f"breaks_{len(body)}").make({})(episodes, Randomness(0, "x"))
    with pytest.raises(StageContractError) as caught:
        check_outcomes("mine", episodes, outcomes, writes=frozenset({"verdicts"}), labelling=False)
    assert text in str(caught.value)


def test_a_row_survives_being_written_into_a_job() -> None:
    row = replace(STAGES["tiny_label"], version=3)
    assert Stage.from_json(row.to_json()) == row


USER_FILE = """
from dataclasses import dataclass
import numpy as np
from pipelines.stage import Stage
from storage.outcomes import Dropped, Kept


@dataclass(frozen=True, kw_only=True)
class MineConfig:
    pass


class Mine:
    def __init__(self, config):
        pass

    def __call__(self, episodes, randomness):
        return [[{body}] for e in episodes]


STAGES = {{"mine": Stage(call=f"{{__file__}}:Mine", config=f"{{__file__}}:MineConfig")}}
"""
