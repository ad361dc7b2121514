"""Batches through shared memory: the same stream as without workers, and nothing hangs."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.errors import SchemaError, WorkFailedError
from storage.testing import tiny_dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.memory import HEAP, Memory
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.shared_batches import SharedBatches
from storage.training_reader.windows import Windows


def numbered(number: int, memory: Memory = HEAP) -> dict[str, Any]:
    x = np.full((4, number % 3 + 1), number, np.int64)
    return {"x": x, "deep": {"y": np.float32(number)}, "text": [str(number)]}


def firsts(batches: Iterator[Any], count: int) -> list[int]:
    return [int(batch["x"][0, 0]) for batch in islice(batches, count)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_stream_is_that_of_no_workers(workers: int) -> None:
    with SharedBatches(numbered, workers=workers, first=5) as batches:
        for number, batch in zip(range(5, 25), batches, strict=False):
            expected = numbered(number)
            assert np.array_equal(batch["x"], expected["x"])
            assert batch["deep"]["y"] == expected["deep"]["y"]
            assert batch["text"] == expected["text"]


def test_windows_come_out_of_shared_memory_as_they_are(tmp_path: Path) -> None:
    windows = Windows([Source(dataset=tiny_dataset(tmp_path / "d"))], WindowConfig(cameras={"v": ("front",)}))
    sampler = WindowSampler(windows, batch_size=4)
    with SharedBatches(
        lambda number, memory: windows.batch(sampler.batch(number), memory=memory), workers=2
    ) as batches:
        for number, batch in zip(range(6), batches, strict=False):
            expected = windows.__getitems__(sampler.batch(number))
            for name in ("state", "action", "action_mask", "embodiment"):
                assert np.array_equal(batch[name], expected[name])
            assert np.array_equal(batch["images"]["v"], expected["images"]["v"])
            assert not batch["images"]["v"].flags.owndata, "looked at where it lies"


def test_a_batch_stays_valid_until_the_next_but_one() -> None:
    with SharedBatches(numbered, workers=1, hold=1) as batches:
        first = next(batches)
        kept = first["x"].copy()
        next(batches)
        assert np.array_equal(first["x"], kept)


def test_what_does_not_fit_comes_all_the_same() -> None:
    def growing(number: int, memory: Memory = HEAP) -> dict[str, Any]:
        return {"x": np.full((1000 * number + 1, 1), number)}

    with SharedBatches(growing, workers=2) as batches:
        assert firsts(batches, 4) == [0, 1, 2, 3]


def test_an_error_is_raised_in_its_place() -> None:
    def failing(number: int, memory: Memory = HEAP) -> dict[str, Any]:
        if number == 3:
            raise SchemaError("batch 3 is bad")
        return numbered(number)

    batches = SharedBatches(failing, workers=2)
    assert firsts(batches, 3) == [0, 1, 2]
    with pytest.raises(SchemaError, match="batch 3"):
        next(batches)


def test_a_worker_that_dies_is_named() -> None:
    parent = os.getpid()

    def dying(number: int, memory: Memory = HEAP) -> dict[str, Any]:
        if number == 2 and os.getpid() != parent:
            os._exit(7)
        return numbered(number)

    batches = SharedBatches(dying, workers=2)
    with pytest.raises(WorkFailedError, match="loader process 0 of 2 ended with exit code 7"):
        firsts(batches, 4)
