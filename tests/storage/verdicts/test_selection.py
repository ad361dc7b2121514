"""Selections: what is kept follows from verdicts, names its reasons, and is read by every reader."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, UnknownNameError
from storage.testing import tiny_dataset, tiny_episode, write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows
from storage.verdicts.reviews import FILE, Decision, append_decision, decisions_of
from storage.verdicts.selection import (
    SelectionPolicy,
    is_stale,
    make_selection,
    read_selection,
    write_selection,
)
from storage.verdicts.verdicts import Verdict


def judged(root: Path, scores: Mapping[int, float | None], *, judge: str = "sharp", sidecar: str = "rules") -> Dataset:
    """Give the episodes of a data set, by number, verdicts of a judge that wants 0.5; the others have none."""
    dataset = Dataset.open(root)
    numbers = {episode.episode_id: number for number, episode in enumerate(dataset.episodes())}
    for unit_id in dataset.units():
        shard = dataset.shard(unit_id)
        labels = []
        for place in range(len(shard.episodes)):
            episode = shard.episode(place)
            number = numbers[episode.episode_id]
            score = scores.get(number)
            passed = None if score is None else score >= 0.5
            verdict = Verdict(judge=judge, passed=passed, score=score, threshold=0.5).to_json()
            labels.append(
                replace(episode, cameras={}, arrays={}, provenance={}, verdicts=(verdict,) if number in scores else ())
            )
        write_unit(root, labels, unit_id=unit_id, sink=f"labels/{sidecar}")
    return Dataset.open(root)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Six episodes with scores 0.0, 0.2, ... 1.0."""
    tiny_dataset(tmp_path / "data", units=2, episodes_per_unit=3)
    return judged(tmp_path / "data", {number: number / 5 for number in range(6)})


def ids(dataset: Dataset) -> list[str]:
    return [episode.episode_id for episode in dataset.episodes()]


def test_every_episode_is_kept_rejected_with_a_reason_or_unjudged(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", units=2, episodes_per_unit=3)
    dataset = judged(tmp_path / "data", {0: 0.9, 1: 0.1, 2: None, 3: 0.7})
    found = make_selection(dataset.root, "good")
    everything = ids(dataset)
    assert set(found.episodes) | set(found.rejected) | set(found.unjudged) == set(everything)
    assert found.episodes == (everything[0], everything[3])
    assert found.rejected[everything[1]] == ("sharp: score 0.1 against 0.5",)
    assert found.rejected[everything[2]] == ("sharp: unsure",)
    assert set(found.unjudged) == {everything[4], everything[5]}


def test_a_judge_of_one_layer_is_not_asked_about_another_and_who_has_no_judge_is_unjudged(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=2).root
    film = Verdict(judge="black", passed=True).to_json()
    people = [
        tiny_episode(7, embodiment="human", layer="human", verdicts=(film,)),
        tiny_episode(8, embodiment="human", layer="human"),
    ]
    real = tiny_episode(9, layer="real")
    simulated = [episode.episode_id for episode in Dataset.open(root).episodes()]
    for episodes in (people, [real]):
        write_unit(root, episodes)
    everything = list(Dataset.open(root).episodes())
    numbers = {episode.episode_id: number for number, episode in enumerate(everything)}
    judged(root, {numbers[simulated[0]]: 0.9, numbers[people[0].episode_id]: 0.9, numbers[people[1].episode_id]: 0.9})
    found = make_selection(root, "good")
    assert set(found.episodes) == {simulated[0], people[0].episode_id}
    assert set(found.unjudged) == {simulated[1], people[1].episode_id, real.episode_id}
    named = make_selection(root, "named", SelectionPolicy(judges=("black", "sharp")))
    assert named.episodes == (people[0].episode_id,)


def test_a_threshold_moves_without_a_new_verdict(data: Dataset) -> None:
    strict = make_selection(data.root, "strict", SelectionPolicy(thresholds={"sharp": 0.75}))
    loose = make_selection(data.root, "loose", SelectionPolicy(thresholds={"sharp": 0.0}))
    assert len(strict.episodes) == 2
    assert len(loose.episodes) == 6
    assert strict.verdicts == loose.verdicts


def test_a_selection_that_is_written_is_read_back_equal(data: Dataset) -> None:
    made = make_selection(data.root, "good", SelectionPolicy(thresholds={"sharp": 0.3}, labels=("rules",)))
    write_selection(data.root, made)
    assert read_selection(data.root, "good") == made


def test_readers_give_what_is_selected_and_nothing_else(data: Dataset) -> None:
    made = make_selection(data.root, "good")
    write_selection(data.root, made)
    chosen = Dataset.open(data.root, selection="good")
    assert ids(chosen) == [name for name in ids(data) if name in made.episodes]
    assert len(chosen) == len(made.episodes)
    assert chosen.steps == sum(episode.length for episode in chosen.episodes())


def test_training_windows_come_from_what_is_selected(data: Dataset) -> None:
    write_selection(data.root, make_selection(data.root, "good"))
    chosen = Dataset.open(data.root, selection="good")
    windows = Windows([Source(dataset=chosen)], WindowConfig(horizon_steps=4))
    assert len(windows) == chosen.steps
    assert len(windows) < len(Windows([Source(dataset=data)], WindowConfig(horizon_steps=4)))


def test_the_best_share_is_taken_by_score(data: Dataset) -> None:
    found = make_selection(data.root, "best", SelectionPolicy(keep_best=1 / 6, best_by="sharp"))
    assert found.episodes == (ids(data)[5],)
    assert len(found.rejected) == 5


def test_episodes_of_another_data_set_are_refused(data: Dataset, tmp_path: Path) -> None:
    other = tiny_dataset(tmp_path / "other", seed=9)
    write_selection(other.root, make_selection(data.root, "good"))
    with pytest.raises(UnknownNameError, match="names 3 episodes that this data set does not have"):
        Dataset.open(other.root, selection="good")


def test_an_unknown_selection_is_named_with_those_there_are(data: Dataset) -> None:
    write_selection(data.root, make_selection(data.root, "good"))
    with pytest.raises(UnknownNameError, match=r"'god'; did you mean good"):
        Dataset.open(data.root, selection="god")


def test_a_judge_without_verdicts_is_refused(data: Dataset) -> None:
    with pytest.raises(UnknownNameError, match=r"judge .*'shrp'; did you mean sharp"):
        make_selection(data.root, "good", SelectionPolicy(judges=("shrp",)))


def test_a_verdict_that_replaces_another_counts_in_its_place(data: Dataset) -> None:
    first = data.shard(data.units()[0]).episode(0)
    again = Verdict(judge="again", passed=True, score=0.9, threshold=0.5, replaces="sharp").to_json()
    unit = [
        replace(episode, cameras={}, arrays={}, provenance={}, verdicts=(again,) if place == 0 else ())
        for place, episode in enumerate(data.shard(data.units()[0]).episode(i) for i in range(3))
    ]
    write_unit(data.root, unit, unit_id=data.units()[0], sink="labels/recaption")
    assert first.episode_id in make_selection(data.root, "good").episodes


def test_a_person_outweighs_the_judges(data: Dataset) -> None:
    everything = ids(data)
    found = make_selection(data.root, "good", people={everything[0]: True, everything[5]: False})
    assert everything[0] in found.episodes
    assert found.rejected[everything[5]] == ("person: refused",)


def test_new_verdicts_make_a_selection_stale(data: Dataset) -> None:
    made = make_selection(data.root, "good")
    assert not is_stale(data.root, made)
    judged(data.root, {0: 1.0}, judge="other", sidecar="more")
    assert is_stale(data.root, made)


def test_decisions_survive_a_line_torn_by_a_kill(tmp_path: Path) -> None:
    append_decision(tmp_path, Decision(episode_id="a", accept=True))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"episode_id": "b", "acc')
    append_decision(tmp_path, Decision(episode_id="c", accept=False))
    append_decision(tmp_path, Decision(episode_id="a", caption="lift the cube"))
    found = decisions_of(tmp_path)
    assert found.keys() == {"a", "c"}
    assert found["a"].accept is True
    assert found["a"].caption == "lift the cube"


@pytest.mark.parametrize("policy", [{"keep_best": 0.0}, {"keep_best": 0.5}, {"unsure": "maybe"}])
def test_a_policy_that_cannot_be_meant_is_refused(policy: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SelectionPolicy(**policy)
