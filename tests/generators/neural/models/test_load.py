import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.neural.models.load import load_model
from storage.errors import CorruptFileError, InputError, MissingFileError, UnknownNameError

Pipelines = Callable[[str], Path]


@pytest.fixture
def folder(tiny_pipeline: Pipelines, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pipeline("wan 2.2 ti2v"), tmp_path / "model"))


def test_a_component_that_is_missing_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    with pytest.raises(MissingFileError, match="component 'vae'"):
        load_model(str(folder))


def test_pickled_weights_are_refused(folder: Path) -> None:
    weights = next((folder / "transformer").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InputError, match="pickled weights"):
        load_model(str(folder))


def test_a_component_without_weights_is_refused(folder: Path) -> None:
    next((folder / "transformer").glob("*.safetensors")).unlink()
    with pytest.raises(MissingFileError, match="holds no weights"):
        load_model(str(folder))


def test_another_kind_of_pipeline_is_refused_and_the_known_ones_are_listed(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "WanPipeline"}))
    with pytest.raises(UnknownNameError, match="WanImageToVideoPipeline"):
        load_model(str(folder))


def test_a_broken_index_and_a_missing_folder_are_said(folder: Path) -> None:
    (folder / "model_index.json").write_text("{")
    with pytest.raises(CorruptFileError, match="is not JSON"):
        load_model(str(folder))
    with pytest.raises(MissingFileError, match="no model folder"):
        load_model(str(folder / "nowhere"))
