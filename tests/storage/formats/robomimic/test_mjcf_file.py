"""A simulator's model by reference: the same hash on every machine, and found again while its source is there."""

from pathlib import Path

import h5py
import pytest

from storage.errors import CorruptFileError, MissingFileError
from storage.formats.robomimic.importer import read_demo
from storage.formats.robomimic.mjcf_file import asset_id, model_reference, read_model_file
from storage.formats.testing import TINY_MODEL, tiny_robomimic


@pytest.mark.parametrize(
    "path",
    [
        "/venv/lib/python3.11/site-packages/robosuite/models/assets/arenas/table.xml",
        "/home/mimicgen/robosuite/models/assets/arenas/table.xml",
        "C:\\robosuite\\env\\robosuite\\models\\assets\\arenas\\table.xml",
        "robosuite/models/assets/arenas/table.xml",
    ],
)
def test_an_asset_is_named_from_its_package_on(path: str) -> None:
    assert asset_id(path) == "robosuite/models/assets/arenas/table.xml"


def test_paths_of_no_package_stay() -> None:
    assert asset_id("/data/my_mesh.stl") == "/data/my_mesh.stl"


def test_a_model_has_the_same_hash_on_every_machine(tmp_path: Path) -> None:
    here = read_demo(tiny_robomimic(tmp_path / "a.hdf5", machine="here"), "demo_0")
    there = read_demo(tiny_robomimic(tmp_path / "b.hdf5", machine="there/mimicgen"), "demo_0")
    reference = here.provenance["imported"]["model_file"]
    assert reference == there.provenance["imported"]["model_file"]
    assert reference["assets"] == 1
    assert model_reference(TINY_MODEL + "<!-- -->") != reference


def test_the_text_is_read_again_from_its_source(tmp_path: Path) -> None:
    path = tiny_robomimic(tmp_path / "a.hdf5")
    provenance = read_demo(path, "demo_0").provenance
    assert 'file="robosuite/models/assets/a.stl"' in read_model_file(provenance)
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["model_file"] = "<mujoco/>"
    with pytest.raises(CorruptFileError, match="is not the one that was imported"):
        read_model_file(provenance)
    path.unlink()
    with pytest.raises(MissingFileError, match="is not there any more"):
        read_model_file(provenance)
