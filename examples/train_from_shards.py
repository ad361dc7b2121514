"""Train a small policy from shards with a torch DataLoader; what is left of it after a stop is one number.

    python examples/train_from_shards.py DATASET [STEPS]

The reader makes windows (views, state, a chunk of actions with its mask) of every embodiment in one padded layout,
reads frames straight from the shards, and draws in an order that follows from the seed and the number of the batch.
"""

import sys
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from storage.datasets.dataset import Dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows, as_it_is

HORIZON = 8


def policy(windows: Windows) -> nn.Module:
    """A policy that sees the state only; a real one takes batch["images"] too."""
    batch = windows[0]
    state, action = batch["state"].shape[-1], batch["action"].shape[-1]
    return nn.Sequential(nn.Linear(state, 64), nn.ReLU(), nn.Linear(64, HORIZON * action))


def loss_of(model: nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Mean squared error over the actions that are there: chunks beyond an episode and padded numbers are masked."""
    state = torch.from_numpy(np.nan_to_num(batch["state"][:, -1])).float()
    wanted, mask = torch.from_numpy(batch["action"]).float(), torch.from_numpy(batch["action_mask"])
    there = mask[..., None] if mask.ndim == 2 else mask
    said = model(state).reshape(wanted.shape)
    return (((said - wanted) ** 2) * there).sum() / (there.expand_as(wanted)).sum()


def main(root: Path, steps: int) -> None:
    dataset = Dataset.open(root)
    windows = Windows([Source(dataset=dataset)], WindowConfig(cameras={}, horizon_steps=HORIZON))
    sampler = WindowSampler(windows, batch_size=32, seed=1)
    loader: Any = DataLoader(windows, batch_sampler=sampler, collate_fn=as_it_is, num_workers=0)
    torch.manual_seed(0)
    model = policy(windows)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for batch in islice(chain.from_iterable(repeat(loader)), steps):  # a loader gives one epoch, the next one goes on
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"{len(windows)} windows, loss {np.mean(losses[:10]):.4f} -> {np.mean(losses[-10:]):.4f} in {steps} steps")
    print(f"to go on: sampler.seek({sampler.state_at(steps)})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 150)
