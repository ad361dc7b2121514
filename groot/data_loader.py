"""From the training reader to the loop: windows of `storage` as the stream of batches that `groot.fit` asks for."""

from collections.abc import Callable, Iterator
from typing import Any

from groot.fit import Batch, BatchSource, Position
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows

Prepare = Callable[[dict[str, Any]], Batch]
"""Turns a batch of windows (see `storage.training_reader.windows.Batch`) into what the loss takes.

Runs in the workers of the loader."""


def window_batches(
    windows: Windows, *, batch_size: int, prepare: Prepare, seed: int = 0, workers: int = 0
) -> BatchSource:
    """An endless, exactly resumable stream: batch n of a run is always the same windows.

    With `workers` batches are read by that many processes of torch's loader, in the same order. On machines with two or
    four cores 0 is faster.
    """

    def numbers(position: Position) -> Iterator[list[int]]:
        sampler = WindowSampler(
            windows, batch_size=batch_size, seed=seed, process=position.process, processes=position.processes
        )
        number = position.step
        while True:
            yield sampler.batch(number)
            number += 1

    def source(position: Position) -> Iterator[Batch]:
        if not workers:
            return (prepare(windows.__getitems__(chosen)) for chosen in numbers(position))
        return _loaded(windows, numbers(position), prepare, workers)

    return source


def _loaded(windows: Windows, numbers: Iterator[list[int]], prepare: Prepare, workers: int) -> Iterator[Batch]:
    from torch.utils.data import DataLoader

    # Map-style by protocol, not by inheritance; `__getitems__` gives a whole batch, which is all that collating sees.
    dataset: Any = windows
    collate: Any = prepare
    loader: Any = DataLoader(dataset, batch_sampler=numbers, collate_fn=collate, num_workers=workers)
    batches: Iterator[Batch] = iter(loader)
    return batches
