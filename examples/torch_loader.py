"""Shards in a plain torch DataLoader: without workers, and with two that hand batches over in shared memory.

python examples/torch_loader.py runs/lift
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from storage.datasets.dataset import Dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.shared_batches import SharedBatches
from storage.training_reader.windows import Windows, as_it_is

windows = Windows(
    [Source(dataset=Dataset.open(Path(sys.argv[1])))],
    WindowConfig(cameras={"front": ("agentview",), "wrist": ("robot0_eye_in_hand",)}, horizon_steps=16),
)
sampler = WindowSampler(windows, batch_size=32)


class Stream(IterableDataset[Any]):
    """Batches of two processes."""

    def __iter__(self) -> Iterator[Any]:
        with SharedBatches(lambda n, zeros: windows.batch(sampler.batch(n), zeros=zeros), workers=2) as batches:
            yield from batches


if __name__ == "__main__":
    alone: Any = DataLoader(windows, batch_sampler=sampler, collate_fn=as_it_is)  # type: ignore[arg-type]
    for name, loader in (("alone", alone), ("two workers", DataLoader(Stream(), batch_size=None))):
        for batch in islice(loader, 3):
            print(name, batch["images"]["front"].shape, batch["action"].shape, batch["instruction"][0])
