"""Whatever brings an episode a second time, the data set holds it once, and the second time is counted by name."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.job import Job, UnitItems
from pipelines.read_unit import copy_units, fields_of
from pipelines.run_job import resume, run_job
from pipelines.testing.tiny_jobs import check_run, content_of
from storage.datasets.dataset import Dataset
from storage.datasets.merge import merge
from storage.datasets.split import split
from storage.datasets.unit_paths import Sink
from storage.errors import AlreadyWrittenError, CorruptFileError
from storage.testing import assert_sound, tiny_episode, write_unit
from storage.verification.repair import repair
from storage.verification.twins import IN_ANOTHER_UNIT
from storage.verification.verify import verify


def numbers_job(name: str, numbers: list[int], *, per_unit: int = 2) -> Job:
    groups = [numbers[at : at + per_unit] for at in range(0, len(numbers), per_unit)]
    units = tuple(UnitItems(items=tuple({"seed": number} for number in group)) for group in groups)
    return Job(name=name, stages=(("tiny_source", {}),), units=units)


def ids(root: Path) -> Counter[str]:
    return Counter(Dataset.open(root).index.table["episode_id"].to_pylist())


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_jobs_that_share_episodes_bring_each_once_and_count_the_rest(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    root = tmp_path / str(seed)
    shutil.rmtree(root, ignore_errors=True)
    wanted: set[int] = set()
    for number in range(4):
        numbers = random.choice(9, int(random.integers(2, 8)), replace=False).tolist()
        name, per_unit = f"job{number}", int(random.integers(1, 4))
        tally = run_job(root, numbers_job(name, numbers, per_unit=per_unit)).tally
        wanted |= set(numbers)
        equal_units = tally.kept + tally.dropped[IN_ANOTHER_UNIT]
        assert equal_units == len(numbers), "what was asked for is kept or counted"
        before = content_of(root)
        run_job(root, numbers_job(name, numbers, per_unit=per_unit))
        assert content_of(root) == before, "the same command again changes nothing"
    assert ids(root) == Counter(f"tiny-{number:06d}" for number in wanted)
    assert_sound(root)


def test_a_unit_that_is_made_again_leaves_out_what_another_job_brought_meanwhile(tmp_path: Path) -> None:
    run_job(tmp_path, numbers_job("first", [0, 1]))
    (unit_id,) = Sink(tmp_path).committed()
    Sink(tmp_path).manifest(unit_id).write_text("{")
    repair(tmp_path)
    assert run_job(tmp_path, numbers_job("second", [1, 2])).tally.kept == 2
    first, _ = resume(tmp_path)
    assert (first.tally.kept, first.tally.dropped) == (1, Counter({IN_ANOTHER_UNIT: 1}))
    check_run(tmp_path)
    assert_sound(tmp_path)


def test_two_jobs_at_once_share_no_episode(tmp_path: Path) -> None:
    children = []
    for name in ("one", "other"):
        if (child := os.fork()) == 0:
            try:
                order = [*range(12)] if name == "one" else [*range(11, -1, -1)]
                run_job(tmp_path / "data", numbers_job(name, order, per_unit=3))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert ids(tmp_path / "data") == Counter(f"tiny-{number:06d}" for number in range(12))
    shutil.rmtree(tmp_path / "data/_staging", ignore_errors=True)
    Dataset.open(tmp_path / "data").compact()
    assert_sound(tmp_path / "data")


def test_overlapping_subsets_in_one_folder_share_no_episode(tmp_path: Path) -> None:
    source = Dataset.open(_made(tmp_path / "source", [0, 1, 2, 3]))
    for name, condition in (("long", "length > 0"), ("again", "rate_hz > 0")):
        read = ("read_unit", {"dataset": str(source.root)})
        chain = (read, ("where", {"condition": condition}))
        job = Job(name=name, stages=chain, units=copy_units(source), provides=fields_of(source))
        tally = run_job(tmp_path / "subset", job).tally
    assert (tally.kept, tally.dropped) == (0, Counter({IN_ANOTHER_UNIT: 4}))
    assert ids(tmp_path / "subset") == ids(source.root)
    assert_sound(tmp_path / "subset")


def test_data_sets_that_share_episodes_are_not_joined(tmp_path: Path) -> None:
    one, other, third = (
        _made(tmp_path / name, numbers) for name, numbers in (("one", [0, 1]), ("other", [2, 3]), ("third", [1, 4]))
    )
    merge([one, other], tmp_path / "merged", name="merged")
    before = content_of(tmp_path / "merged")
    with pytest.raises(AlreadyWrittenError, match="share whole units"):
        merge([third, other], tmp_path / "merged", name="merged")
    assert content_of(tmp_path / "merged") == before
    with pytest.raises(AlreadyWrittenError, match="write the parts to a new folder"):
        split(tmp_path / "merged", {one: 0.5, tmp_path / "rest": 0.5})


def test_twins_of_older_programs_are_refused_and_repaired_without_their_sources(tmp_path: Path) -> None:
    root = _made(tmp_path / "data", [0, 1])
    twin, alone = Dataset.open(root).episode("tiny-000001"), tiny_episode(7)
    unit_id = write_unit(root, [twin, alone])
    Dataset.open(root).compact()
    with pytest.raises(CorruptFileError, match="pyramid data repair"):
        resume(root)
    assert [each.episode_id for each in verify(root) if each.kind == "duplicate"] == ["tiny-000001"]
    repair(root)
    assert ids(root) == Counter(["tiny-000000", "tiny-000001", alone.episode_id])
    assert unit_id in Sink(root).committed()
    assert not [finding for finding in verify(root) if finding.kind != "plan"]


def _made(root: Path, numbers: list[int]) -> Path:
    run_job(root, numbers_job(f"job-{root.name}", numbers))
    return root
