"""HDF5 files on which the library hangs or crashes cost themselves alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import CorruptFileError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import ImportEpisodes, list_items, read_episodes
from storage.formats.testing import tiny_robomimic
from storage.formats.testing.hostile_hdf5 import crashing_hdf5, spinning_hdf5, spinning_texts
from storage.formats.testing.laboratories import tiny_aloha
from storage.formats.untrusted import hdf5_probe
from storage.formats.untrusted.hdf5_probe import check_hdf5
from storage.formats.untrusted.limits import InputLimits
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_probe, "LIMITS", InputLimits(seconds=0.5))


@pytest.mark.parametrize("make", [spinning_hdf5, spinning_texts])
def test_a_file_on_which_the_library_never_comes_back_is_refused(
    tmp_path: Path, short_limit: None, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / "spin.hdf5")
    with pytest.raises(CorruptFileError, match=r"keeps the HDF5 library busy for over 0\.5 s"):
        list(read_episodes(ImportConfig(path=str(path))))


def test_a_file_that_crashes_the_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"ends the HDF5 library \(SIG"):
        list(read_episodes(ImportConfig(path=str(crashing_hdf5(tmp_path / "crash.hdf5")))))


def test_either_costs_itself_alone(tmp_path: Path, short_limit: None) -> None:
    tiny_robomimic(tmp_path / "good.hdf5", demos=2)
    crashing_hdf5(tmp_path / "crash.hdf5")
    spinning_hdf5(tmp_path / "spin.hdf5")
    config = ImportConfig(path=str(tmp_path))
    (unit,) = list_items(config)
    outcomes = [outcome for (outcome,) in ImportEpisodes(config)(unit, Randomness(0, "import_episodes"))]
    assert sum(isinstance(outcome, Kept) for outcome in outcomes) == 2
    assert [o.detail["name"] for o in outcomes if isinstance(o, Dropped)] == ["crash.hdf5", "spin.hdf5"]


def test_a_layout_is_known_by_the_files_that_open(tmp_path: Path) -> None:
    tiny_aloha(tmp_path)
    crashing_hdf5(tmp_path / "a_first.hdf5")
    assert {item["format"] for unit in list_items(ImportConfig(path=str(tmp_path))) for item in unit} == {"aloha"}


def test_a_sound_file_is_looked_through_once(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "good.hdf5", demos=2)
    before = hdf5_probe._verdict.cache_info().misses
    for _ in range(3):
        check_hdf5(path)
    assert hdf5_probe._verdict.cache_info().misses == before + 1
