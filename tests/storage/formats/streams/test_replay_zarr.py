"""Replay buffers that lack chunks: what zarr would silently fill in is never taken for data."""

import shutil
from pathlib import Path
from typing import Any, Literal

import pytest

from storage.errors import CorruptFileError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import ImportEpisodes, fates_of, list_items, read_episodes
from storage.formats.testing.laboratories import tiny_replay_zarr
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept

CHUNKS = {2: "data/action/2.0", 3: "data/action/c/2/0"}


def _outcomes(path: Path) -> list[Any]:
    config = ImportConfig(path=str(path), rate_hz=10.0)
    return [o for unit in list_items(config) for (o,) in ImportEpisodes(config)(unit, Randomness(0, "import_episodes"))]


def _zipped(path: Path) -> Path:
    return Path(shutil.make_archive(str(path), "zip", path))


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_missing_chunk_costs_its_episode_alone(tmp_path: Path, form: Literal[2, 3], zipped: bool) -> None:
    path = tiny_replay_zarr(tmp_path / "buffer.zarr", ends=(4, 12), zarr_format=form)
    (path / CHUNKS[form]).unlink()
    first, second = _outcomes(_zipped(path) if zipped else path)
    assert isinstance(first, Kept)
    assert isinstance(second, Dropped)
    assert f"{CHUNKS[form]} is not there; zarr would read 0.0 in its place" in second.detail["message"]


def test_a_missing_chunk_of_images_costs_its_episode_too(tmp_path: Path) -> None:
    path = tiny_replay_zarr(tmp_path / "buffer.zarr")
    (path / "data/camera0_rgb/7.0.0.0").unlink()
    first, second = _outcomes(path)
    assert isinstance(first, Kept)
    assert isinstance(second, Dropped)


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_array_without_chunks_is_zeros_and_the_table_says_so(
    tmp_path: Path, form: Literal[2, 3], zipped: bool
) -> None:
    path = tiny_replay_zarr(tmp_path / "buffer.zarr", zarr_format=form)
    for chunk in (path / "data/action").glob("[0-9]*.0") if form == 2 else [path / "data/action/c"]:
        chunk.unlink() if chunk.is_file() else shutil.rmtree(chunk)
    path = _zipped(path) if zipped else path
    first, _ = read_episodes(ImportConfig(path=str(path), rate_hz=10.0))
    assert not first.arrays["action/ground_truth"].any()
    fates = {fate.column: fate for fate in fates_of(ImportConfig(path=str(path), rate_hz=10.0))}
    assert fates["action"].detail == "action[0:2]; no chunk is there: all of it is 0.0"


def test_more_chunks_than_an_episode_can_have_are_refused(tmp_path: Path) -> None:
    path = tiny_replay_zarr(tmp_path / "buffer.zarr")
    about = path / "data/action/.zarray"
    about.write_text(about.read_text().replace("4,\n    2", "4,\n    1").replace("10,\n    2", "10,\n    200000"))
    with pytest.raises(CorruptFileError, match="has 400000 chunks an episode"):
        list(read_episodes(ImportConfig(path=str(path), rate_hz=10.0)))
