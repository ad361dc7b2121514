"""How sure a label is comes with every number of the chunk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.errors import ConfigError
from storage.testing import tiny_dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows


def windows(root: Path, confidence: NDArray[Any], **config: Any) -> Windows:
    steps = len(confidence)
    arrays = {
        "action/predicted": np.zeros((steps, 7), np.float32),
        "label/confidence/predicted": confidence.astype(np.float32),
    }
    dataset = tiny_dataset(root, units=1, episodes_per_unit=1, length=steps, arrays=arrays)
    source = Source(dataset=dataset, action="action/predicted")
    return Windows([source], WindowConfig(horizon_steps=3, confidence=True, **config))


def test_a_column_speaks_of_a_part_and_a_row_of_a_step(tmp_path: Path) -> None:
    confidence = np.arange(30).reshape(10, 3) / 30
    batch = windows(tmp_path / "d", confidence).__getitems__([2])
    expected = np.repeat(confidence[2:5], [3, 3, 1], axis=1)
    assert np.allclose(batch["action_confidence"][0], expected)


def test_one_column_speaks_of_all_and_a_slower_chunk_takes_the_step_it_begins_on(tmp_path: Path) -> None:
    confidence = np.arange(10)[:, None] / 10
    batch = windows(tmp_path / "d", confidence, horizon_s=6 / 20).__getitems__([1])
    assert np.allclose(batch["action_confidence"][0], np.repeat([[0.1], [0.3], [0.5]], 7, axis=1))


def test_what_nobody_judged_is_sure(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d")
    batch = Windows([Source(dataset=dataset)], WindowConfig(horizon_steps=3, confidence=True)).__getitems__([0])
    assert (batch["action_confidence"] == 1).all()


def test_columns_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="5 columns"):
        windows(tmp_path / "d", np.ones((10, 5)))
