"""`verify` looks at what people and judges chose, too."""

from pathlib import Path

import pytest

from storage.datasets.dataset import Dataset
from storage.testing import tiny_dataset
from storage.verdicts.reviews import FILE, Decision, append_decision, people_of
from storage.verdicts.selection import Selection, SelectionPolicy, write_selection
from storage.verification.findings import Finding
from storage.verification.verify import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=2).root
    ids = tuple(Dataset.open(root).index.table["episode_id"].to_pylist())
    write_selection(root, Selection(name="good", policy=SelectionPolicy(), episodes=ids))
    append_decision(root, Decision(episode_id=ids[0], accept=True, note="pyramid-crc32c-00000000"))
    append_decision(root, Decision(episode_id=ids[1], accept=False))
    return root


def one(root: Path) -> Finding:
    (finding,) = verify(root)
    return finding


def test_sound_choices_have_no_finding(root: Path) -> None:
    assert verify(root) == []
    assert sorted(people_of(root).values()) == [False, True]


def test_a_changed_selection_is_found_with_the_command_that_makes_it_again(root: Path) -> None:
    path = root / "selections/good.json"
    path.write_text(path.read_text().replace('"reject"', '"keep"'))
    assert one(root).kind == "selection"
    assert one(root).mend == "pyramid data select DATASET --name good"


def test_a_selection_of_episodes_that_are_not_there_is_found(root: Path) -> None:
    write_selection(root, Selection(name="other", policy=SelectionPolicy(), episodes=("nobody",)))
    assert "names 1 episodes that this data set does not have" in one(root).text


def test_a_changed_decision_is_found_and_does_not_count(root: Path) -> None:
    content = (root / FILE).read_text()
    (root / FILE).write_text(content.replace('"accept": false', '"accept": true '))
    assert (one(root).kind, one(root).path) == ("review", FILE.as_posix())
    assert one(root).text.startswith("line 2 is not a decision")
    assert list(people_of(root).values()) == [True]
