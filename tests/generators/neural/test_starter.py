"""The model that ships: it loads, it fits the size that weights may have, and its clips begin as they are told to."""

import json
from pathlib import Path

import numpy as np
import pytest

from generators.neural import STARTER, model_reference
from generators.neural.models.interface import Request
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions
from storage.errors import InputError
from storage.ids import file_hash

FOLDER = Path(model_reference(STARTER))
MOST_MB = 16


def test_the_weights_are_small_and_those_of_the_card() -> None:
    card = json.loads((FOLDER / "card.json").read_text())
    files = {path.parent.name: path for path in FOLDER.rglob("*.safetensors")}
    assert sum(path.stat().st_size for path in files.values()) < MOST_MB * 1e6
    assert {name: file_hash(path) for name, path in files.items()} == card["weights"]


def test_clips_begin_with_the_picture_they_were_given_and_move_from_there() -> None:
    model = load_model(STARTER, ModelOptions(dtype="float32", device="cpu"))
    image = np.full((64, 64, 3), 250, np.uint8)
    image[:10] = 100
    image[30:34, 30:34] = (170, 30, 40)
    (clip,) = model.generate([Request(image=image, prompt="lift the red cube", seed=0)], model.shape, model.sampling)
    first = np.abs(clip[0] * 255 - image).mean()
    assert first < 0.8 * np.abs(clip[-1] * 255 - image).mean()
    assert first < 15


def test_words_that_it_never_learned_are_refused() -> None:
    model = load_model(STARTER, ModelOptions(dtype="float32", device="cpu"))
    with pytest.raises(InputError, match="does not know 'zebra'"):
        model.check_prompt("lift the zebra")
