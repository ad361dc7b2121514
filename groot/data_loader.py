"""From the training reader to the loop: windows of `storage` as the stream of batches that `groot.fit` asks for."""

from collections.abc import Callable, Iterator
from typing import Any

from groot.fit import Batch, BatchSource, Position
from storage.training_reader.memory import HEAP, Memory
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.shared_batches import SharedBatches
from storage.training_reader.windows import Windows

Prepare = Callable[[dict[str, Any]], Batch]
"""Turns a batch of windows (see `storage.training_reader.windows.Batch`) into what the loss takes.

Runs in the workers of the loader."""


def window_batches(
    windows: Windows, *, batch_size: int, prepare: Prepare, seed: int = 0, workers: int = 0
) -> BatchSource:
    """An endless, exactly resumable stream: batch n of a run is always the same windows.

    With `workers` batches are read and prepared by that many processes, in the same order, and handed over in shared
    memory. Each batch is valid until the next but one is taken.
    """

    def source(position: Position) -> Iterator[Batch]:
        sampler = WindowSampler(
            windows, batch_size=batch_size, seed=seed, process=position.process, processes=position.processes
        )

        def make(number: int, memory: Memory = HEAP) -> Batch:
            # What is prepared lies in other arrays than what was read: only the former is worth the shared memory.
            return prepare(windows.batch(sampler.batch(number)))

        if workers:
            return _ended(SharedBatches(make, workers=workers, first=position.step))
        return _counted(make, position.step)

    return source


def _counted(make: Callable[[int], Batch], number: int) -> Iterator[Batch]:
    while True:
        yield make(number)
        number += 1


def _ended(batches: SharedBatches) -> Iterator[Batch]:
    """`batches`, whose workers end with the iteration."""
    with batches:
        yield from batches


def numbered_batches(batch_of: Callable[[int], Batch], *, first: int, workers: int = 0) -> Iterator[Batch]:
    """The endless stream `batch_of(first)`, `batch_of(first + 1)`, ...; with `workers` made by that many processes
    ahead of time, in the same order, each valid until the next but one is taken."""

    def make(number: int, memory: Memory = HEAP) -> Batch:
        return batch_of(number)

    return _ended(SharedBatches(make, workers=workers, first=first)) if workers else _counted(batch_of, first)
