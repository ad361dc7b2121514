"""`verify` finds nothing on whatever jobs write: mixed sources, drops, failures, labels, rounds, kills and merges."""

import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.job import Job, Policy, UnitItems, Until
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import run_job
from pipelines.testing.killed import in_child
from storage.datasets.clean import clean
from storage.datasets.dataset import Dataset
from storage.datasets.merge import merge
from storage.testing import assert_sound


@settings(
    max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000))
def test_whatever_jobs_write_verifies(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    folder = tmp_path / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    parts = [_worked_on(folder / f"part{number}", number, random) for number in range(2)]
    merge(parts, folder / "merged", name="merged")
    _do(folder / "merged", _label_job("late", folder / "merged", random), random)
    for root in (*parts, folder / "merged"):
        assert_sound(root)


def _worked_on(root: Path, number: int, random: np.random.Generator) -> Path:
    cameras = [("front",), ("front", "wrist")][int(random.integers(2))]
    wild = ("wild", {"fault": "strange", "seeds": [1000 * number + 1]})
    stages = (("tiny_source", {"cameras": cameras}), ("tiny_judge", {"threshold": 0.3}), wild)
    seeds = [[1000 * number + 3 * unit + place for place in range(3)] for unit in range(2)]
    units = tuple(UnitItems(items=tuple({"seed": seed} for seed in each)) for each in seeds)
    _do(root, Job(name="first", stages=stages, units=units, policy=Policy(attempts=1, max_failed_fraction=1.0)), random)
    if number == 0:
        until = Until(kept=int(random.integers(2, 5)), items_per_unit=2)
        _do(root, Job(name="rounds", stages=(("tiny_source", {"length": 5}),), until=until), random)
    if len(Dataset.open(root)):
        _do(root, _label_job("labels", root, random), random)
    return root


def _label_job(name: str, root: Path, random: np.random.Generator) -> Job:
    dataset = Dataset.open(root)
    names = dataset.index.table["episode_id"].to_pylist()
    refuse = [each for each in names if random.random() < 0.2]
    return Job(
        name=name,
        stages=(("read_unit", {}), ("tiny_label", {"refuse": refuse})),
        units=label_units(dataset),
        sink=f"labels/{name}",
        provides=fields_of(dataset),
    )


def _do(root: Path, job: Any, random: np.random.Generator) -> None:
    """Run `job`, half of the time after a run that is killed at one of its writes."""
    if random.random() < 0.5:
        status, _ = in_child(lambda: run_job(root, job), dies_at=int(random.integers(60)))
        assert status in (0, -signal.SIGKILL)
    run_job(root, job)
    clean(root, older_than_s=0.0)
