"""Laws of running on the local engine; test_ray_engine.py asks the same of Ray."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.job import Job, Policy, UnitItems, Until
from pipelines.progress.job_counts import Tally
from pipelines.read_unit import copy_units, fields_of, label_units
from pipelines.run_job import EngineOptions, resume, run_job
from pipelines.testing.tiny_jobs import check_run, content_of, tiny_job
from storage.atomic_files import json_bytes, read_json, write_whole
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import read_dead_letters
from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import Sink
from storage.errors import AlreadyWrittenError, ConfigError, InputError, WorkFailedError
from storage.testing import tiny_dataset, tiny_episode, write_unit

ALWAYS = Policy(max_failed_fraction=1.0)


def test_a_run_commits_what_its_plan_says(tmp_path: Path) -> None:
    result = run_job(tmp_path / "data", tiny_job())
    check_run(tmp_path / "data")
    assert result.complete
    assert (result.tally.kept, result.tally.committed_units) == (12, 4)
    assert _episode_ids(tmp_path / "data") == [f"tiny-{number:06d}" for number in range(12)]


def test_two_runs_of_one_job_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        run_job(tmp_path / name, tiny_job(("tiny_judge", {})))
    assert content_of(tmp_path / "one") == content_of(tmp_path / "other")


def test_the_size_and_order_of_units_change_no_episode(tmp_path: Path) -> None:
    for name, units, items in (("one", 4, 3), ("other", 2, 6)):
        run_job(tmp_path / name, tiny_job(("tiny_judge", {}), units=units, items_per_unit=items))
    one, other = (_episode_ids(tmp_path / name) for name in ("one", "other"))
    assert one == other


def test_another_seed_draws_other_numbers(tmp_path: Path) -> None:
    roots = [tmp_path / str(seed) for seed in (1, 2)]
    for seed, root in enumerate(roots):
        run_job(root, tiny_job(("tiny_judge", {}), units=8, seed=seed))
    one, other = (_episode_ids(root) for root in roots)
    assert 0 < len(one) < 24
    assert one != other


def test_a_drop_is_kept_with_its_reason_and_score(tmp_path: Path) -> None:
    result = run_job(tmp_path / "data", tiny_job(("tiny_judge", {"threshold": 0.5})))
    drops = [drop for manifest in read_manifests(Sink(tmp_path / "data")) for drop in manifest.dropped]
    assert result.tally.dropped == {"unlucky": len(drops)}
    assert result.tally.kept + len(drops) == 12
    assert all(drop.score is not None and drop.score < 0.5 for drop in drops)


def test_a_unit_whose_episodes_are_all_dropped_is_committed_without_a_shard(tmp_path: Path) -> None:
    result = run_job(tmp_path / "data", tiny_job(("tiny_judge", {"threshold": 1.0})))
    check_run(tmp_path / "data")
    assert (result.complete, result.tally.kept) == (True, 0)
    assert all(manifest.shard is None for manifest in read_manifests(Sink(tmp_path / "data")))


def test_every_manifest_says_what_each_stage_did(tmp_path: Path) -> None:
    run_job(tmp_path / "data", tiny_job(("tiny_judge", {"threshold": 0.5})))
    for manifest in read_manifests(Sink(tmp_path / "data")):
        source, judge, commit = manifest.stages
        assert (source.inputs, source.kept, judge.inputs) == (3, 3, 3)
        assert judge.kept + sum(judge.dropped.values()) == 3
        assert commit.inputs == judge.kept == len(manifest.episodes)
        assert source.bytes > 0
        assert source.wall_s > 0
        assert manifest.versions["python"]


def test_running_again_does_nothing_again(tmp_path: Path) -> None:
    run_job(tmp_path / "data", tiny_job())
    times = {path: path.stat().st_mtime_ns for path in Sink(tmp_path / "data").manifests.iterdir()}
    result = run_job(tmp_path / "data", tiny_job())
    assert result.tally.committed_units == 4
    assert times == {path: path.stat().st_mtime_ns for path in Sink(tmp_path / "data").manifests.iterdir()}


def test_a_job_of_the_same_name_with_other_settings_is_refused(tmp_path: Path) -> None:
    run_job(tmp_path / "data", tiny_job())
    with pytest.raises(AlreadyWrittenError, match="a job of the same name with other stages or settings"):
        run_job(tmp_path / "data", tiny_job(("tiny_judge", {})))


def test_a_refused_job_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_job(tmp_path / "data", tiny_job(("tiny_judge", {"treshold": 1})))
    assert not (tmp_path / "data").exists()


def test_a_unit_that_fails_twice_is_committed_by_the_third_attempt(tmp_path: Path) -> None:
    wild = {"fault": "world", "seeds": [4], "times": 2, "marks": str(_folder(tmp_path, "marks"))}
    result = run_job(tmp_path / "data", tiny_job(("wild", wild)))
    run_job(tmp_path / "calm", tiny_job(("wild", {})))
    assert result.complete
    assert content_of(tmp_path / "data") == content_of(tmp_path / "calm")


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ("world", "WorldError", "the device is busy"),
        ("strange", "StrangeError", "code 7: no pickle takes me"),
        ("exit", "SystemExit", "3"),
        ("value", "ValueError", "a mistake in the stage"),
    ],
)
def test_a_unit_that_always_fails_becomes_a_dead_letter_alone(
    tmp_path: Path, fault: str, error: str, text: str
) -> None:
    job = tiny_job(("wild", {"fault": fault, "seeds": [4]}), policy=Policy(max_failed_fraction=0.5))
    result = run_job(tmp_path / "data", job)
    check_run(tmp_path / "data")
    (letter,) = result.dead_letters
    assert (letter.stage, letter.error, letter.attempts) == ("wild", error, 3)
    assert text in letter.message
    assert "faulty_stage.py" in letter.traceback
    assert (result.tally.committed_units, result.tally.dead_units) == (3, 1)


def test_one_bad_input_of_many_is_dropped_and_the_rest_of_its_unit_kept(tmp_path: Path) -> None:
    job = tiny_job(("wild", {"fault": "input", "seeds": [4]}), policy=Policy(max_failed_fraction=0.5))
    result = run_job(tmp_path / "data", job)
    (drop,) = [drop for manifest in read_manifests(Sink(tmp_path / "data")) for drop in manifest.dropped]
    assert (drop.episode_id, drop.reason) == ("tiny-000004", "bad input")
    assert drop.detail["message"] == "this input is not as expected"
    assert (result.complete, result.tally.kept, result.tally.failed_items) == (True, 11, 1)


def test_too_many_bad_inputs_end_a_run_with_what_was_wrong_with_them(tmp_path: Path) -> None:
    job = tiny_job(("wild", {"fault": "input", "seeds": [0, 1, 3, 4]}), policy=Policy(max_failed_fraction=0.3))
    with pytest.raises(WorkFailedError, match="most frequent cause: wild: InputError: this input is not as expected"):
        run_job(tmp_path / "data", job)


def test_a_unit_of_bad_inputs_alone_is_a_dead_letter(tmp_path: Path) -> None:
    job = tiny_job(("wild", {"fault": "input", "seeds": [3, 4, 5]}), policy=Policy(max_failed_fraction=0.5))
    result = run_job(tmp_path / "data", job)
    assert [letter.error for letter in result.dead_letters] == ["InputError"]


def test_a_sick_run_ends_early(tmp_path: Path) -> None:
    job = tiny_job(("wild", {"fault": "value", "seeds": list(range(200))}), units=100, items_per_unit=2)
    text = "more than the 10% that max_failed_fraction allows.*most frequent cause: wild: ValueError: a mistake in the"
    with pytest.raises(WorkFailedError, match=text):
        run_job(tmp_path / "data", job)
    check_run(tmp_path / "data", ended=False)
    assert 0 < len(Sink(tmp_path / "data").dead()) <= 20


def test_what_was_given_up_is_tried_again_by_resume_and_buried_when_it_works(tmp_path: Path) -> None:
    wild = {"fault": "world", "seeds": [4], "times": 3, "marks": str(_folder(tmp_path, "marks"))}
    first = run_job(tmp_path / "data", tiny_job(("wild", wild), policy=ALWAYS))
    assert len(first.dead_letters) == 1
    (unchanged,) = resume(tmp_path / "data", retry_failed=False)
    assert unchanged.tally.dead_units == 1
    (second,) = resume(tmp_path / "data")
    assert second.complete
    assert read_dead_letters(Sink(tmp_path / "data")) == []
    assert not list(Sink(tmp_path / "data").dead_letters.iterdir())


def test_a_stage_that_cannot_be_made_ends_the_job_with_its_own_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(_USER_STAGE.format(body='raise InputError("no such model")'))
    from pipelines.catalog import load_stages

    load_stages([path])
    with pytest.raises(InputError, match=r"stage 'broken' of job 'tiny' cannot work on .*: no such model"):
        run_job(tmp_path / "data", tiny_job(("broken", {})))


def test_labels_lie_beside_what_they_label_in_the_same_rows(tmp_path: Path) -> None:
    root = tmp_path / "data"
    run_job(root, tiny_job())
    result = run_job(root, _label_job(root))
    check_run(root)
    plain, labelled = Dataset.open(root), Dataset.open(root, labels=("tiny",))
    assert (result.tally.kept, result.tally.committed_units) == (12, 4)
    for before, after in zip(plain.episodes(), labelled.episodes(), strict=True):
        assert after.fields - before.fields == {"action/predicted", "label/valid/predicted"}
        assert (after.arrays["state"] == before.arrays["state"]).all()
        assert abs(after.arrays["action/predicted"] - before.arrays["action/ground_truth"]).max() < 0.1


def test_a_labeller_may_refuse_an_episode_and_the_rows_still_match(tmp_path: Path) -> None:
    root = tmp_path / "data"
    run_job(root, tiny_job())
    result = run_job(root, _label_job(root, refuse=["tiny-000001"]))
    labelled = Dataset.open(root, labels=("tiny",))
    assert (result.tally.kept, dict(result.tally.dropped)) == (11, {"refused": 1})
    assert "action/predicted" not in labelled.episode("tiny-000001").fields
    assert "action/predicted" in labelled.episode("tiny-000002").fields


def test_labels_of_one_name_with_other_settings_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    run_job(root, tiny_job())
    run_job(root, _label_job(root))
    with pytest.raises(AlreadyWrittenError, match="give these labels another name, or write to a new folder"):
        run_job(root, replace(_label_job(root, noise=0.5), name="again"))


def test_episodes_of_one_data_set_can_be_judged_into_another(tmp_path: Path) -> None:
    run_job(tmp_path / "data", tiny_job())
    dataset = Dataset.open(tmp_path / "data")
    stages = (("read_unit", {"dataset": str(dataset.root)}), ("tiny_judge", {}))
    job = Job(name="judge", stages=stages, units=copy_units(dataset), provides=fields_of(dataset))
    result = run_job(tmp_path / "judged", job)
    run_job(tmp_path / "at-once", tiny_job(("tiny_judge", {})))
    assert result.tally.kept == len(Dataset.open(tmp_path / "at-once"))


def test_units_whose_cameras_have_other_names_still_have_video(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1, cameras=("front",))
    write_unit(dataset.root, [tiny_episode(77, cameras=("wrist",))])
    found = fields_of(Dataset.open(dataset.root))
    assert "video" in found
    assert not {"video/front", "video/wrist"} & found
    write_unit(dataset.root, [tiny_episode(78, cameras=())])
    assert "video" not in fields_of(Dataset.open(dataset.root))


def test_an_embodiment_is_declared_also_when_the_driver_died_before_it_could(tmp_path: Path) -> None:
    root = tmp_path / "data"
    run_job(root, tiny_job())
    about = read_json(root / "dataset.json")
    assert list(about["embodiments"]) == ["panda"]
    write_whole(root / "dataset.json", json_bytes({**about, "embodiments": {}}))
    resume(root)
    assert list(Dataset.open(root).embodiments) == ["panda"]


def test_other_labels_are_other_input(tmp_path: Path) -> None:
    root = tmp_path / "data"
    run_job(root, tiny_job())
    plain = copy_units(Dataset.open(root))
    run_job(root, _label_job(root))
    labelled = copy_units(Dataset.open(root, labels=("tiny",)))
    assert all(len(set(unit.inputs.values())) == 2 for unit in labelled)
    assert [unit.items for unit in plain] == [unit.items for unit in labelled]


def test_topping_up_ends_with_enough_and_the_same_plan_every_time(tmp_path: Path) -> None:
    until = Until(kept=10, items_per_unit=4)
    stages = (("tiny_source", {}), ("tiny_judge", {"threshold": 0.6}))
    results = [run_job(tmp_path / name, Job(name="top", stages=stages, until=until)) for name in ("one", "other")]
    check_run(tmp_path / "one")
    assert results[0].tally.kept >= 10
    assert len(list((tmp_path / "one" / "plan").glob("top-*.parquet"))) > 1
    assert content_of(tmp_path / "one") == content_of(tmp_path / "other")


def test_topping_up_gives_up_when_the_yield_is_nothing(tmp_path: Path) -> None:
    until = Until(kept=5, items_per_unit=10, most_items=30)
    job = Job(name="top", stages=(("tiny_source", {}), ("tiny_judge", {"threshold": 1.0})), until=until)
    with pytest.raises(WorkFailedError, match=r"kept 0 of 5 episodes from 30 items.*30 unlucky"):
        run_job(tmp_path / "data", job)


def test_a_data_set_may_be_moved_between_run_and_labels(tmp_path: Path) -> None:
    run_job(tmp_path / "before", tiny_job())
    job = _label_job(tmp_path / "before")
    os.rename(tmp_path / "before", tmp_path / "after")
    assert run_job(tmp_path / "after", job).complete


def test_the_local_engine_refuses_what_only_ray_can_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the local engine is one process"):
        run_job(tmp_path / "data", tiny_job(), EngineOptions(workers=2))


def test_progress_hears_of_every_unit(tmp_path: Path) -> None:
    heard: list[int] = []

    class Listener:
        def begin(self, tally: Tally) -> None: ...
        def changed(self, tally: Tally) -> None:
            heard.append(tally.committed_units)

        def end(self, tally: Tally) -> None: ...

    run_job(tmp_path / "data", tiny_job(), EngineOptions(progress=Listener()))
    assert heard == [0, 1, 2, 3, 4]


def test_a_unit_takes_its_items_in_any_number(tmp_path: Path) -> None:
    groups = (UnitItems(items=({"seed": 1},)), UnitItems(items=tuple({"seed": n} for n in range(2, 9))))
    assert run_job(tmp_path / "data", replace(tiny_job(), units=groups)).tally.kept == 8


def _episode_ids(root: Path) -> list[str]:
    return sorted(episode.episode_id for episode in Dataset.open(root).episodes())


def _label_job(root: Path, **settings: object) -> Job:
    dataset = Dataset.open(root)
    stages = (("read_unit", {}), ("tiny_label", settings))
    return Job(name="label", stages=stages, units=label_units(dataset), sink="labels/tiny", provides=fields_of(dataset))


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


_USER_STAGE = """
from dataclasses import dataclass
from pipelines.stage import Stage
from storage.errors import InputError


@dataclass(frozen=True, kw_only=True)
class BrokenConfig:
    pass


class Broken:
    def __init__(self, config):
        {body}


STAGES = {{"broken": Stage(call=f"{{__file__}}:Broken", config=f"{{__file__}}:BrokenConfig")}}
"""


def test_what_is_wrong_with_a_unit_is_said_once_however_often_it_is_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stages = (("wild", {"fault": "value", "seeds": [0]}),)
    run_job(tmp_path / "data", replace(tiny_job(*stages), policy=ALWAYS))
    assert sum("failed in stage wild" in record.message for record in caplog.records) == 1
