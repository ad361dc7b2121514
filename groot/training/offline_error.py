"""How far predicted chunks are from recorded ones on held-out windows, by head and by how far ahead."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from torch import nn

from groot.fit import as_tensors
from groot.network.model import Groot
from groot.training.heads import Head
from groot.training.mixture import cells_of
from groot.training.mixture_config import Mixture, MixtureSource
from groot.training.prepare import Prepare, PrepareConfig
from groot.training.saved_policy import SavedPolicy
from storage.errors import ConfigError
from storage.training_reader.config import WindowConfig
from storage.training_reader.windows import Windows

_BATCH = 64


class OfflineError:
    """Root mean square error in normalised units (1: half of the range) on at most `limit` windows, a `Validation`.

    Gives `error/<head>` over the whole chunk and `error/<head>/<from>-<to>` for four stretches of it; where the model
    learns them, `loss/detection` and `loss/future` too (squared distance of box centres over the picture's size, and
    1 - cosine to the features of the frame at the chunk's end).
    """

    def __init__(
        self, windows: Windows, prepare: PrepareConfig, heads: Mapping[str, Head], *, limit: int = 512
    ) -> None:
        self.windows, self.names = windows, windows.embodiments
        self.prepare = Prepare(prepare, [heads[name] for name in windows.embodiments], training=False)
        chosen = np.random.default_rng(0).permutation(len(windows))[:limit]
        self.numbers = np.sort(chosen).tolist()

    def __call__(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Groot)
        device = next(model.parameters()).device
        squares: dict[str, NDArray[np.float64]] = {}
        counts: dict[str, NDArray[np.float64]] = {}
        others: dict[str, list[float]] = {}
        for start in range(0, len(self.numbers), _BATCH):
            windows = self.windows.__getitems__(self.numbers[start : start + _BATCH])
            batch = send_to_device(as_tensors(self.prepare(windows)), device)
            noise = torch.randn(batch["actions"].shape, generator=torch.Generator().manual_seed(start)).to(device)
            predicted = model.act(batch, noise_BHD=noise)
            wrong = ((predicted - batch["actions"]) ** 2 * (batch["mask"] > 0)).sum(dim=2).double().cpu().numpy()
            there = (batch["mask"] > 0).sum(dim=2).double().cpu().numpy()
            for number, name in enumerate(self.names):
                rows = windows["embodiment"] == number
                squares[name] = squares.get(name, 0) + wrong[rows].sum(axis=0)
                counts[name] = counts.get(name, 0) + there[rows].sum(axis=0)
            for name, value in _other_losses(model, batch, seed=start).items():
                others.setdefault(name, []).append(value)
        figures: dict[str, float] = {f"loss/{name}": float(np.mean(values)) for name, values in others.items()}
        for name in squares:
            figures |= _by_horizon(name, squares[name], counts[name])
        return figures


@torch.no_grad()
def _other_losses(model: Groot, batch: Mapping[str, Any], *, seed: int) -> dict[str, float]:
    """The losses beside the flow's, with noise that follows from the seed."""
    if model.detector is None and model.aligner is None:
        return {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = model.losses(batch)
    losses: dict[str, float] = {name: float(parts[name]) for name in ("detection", "future") if name in parts}
    if "target_valid" in batch and not batch["target_valid"].any():
        losses.pop("detection", None)
    return losses


def _by_horizon(name: str, squares_H: NDArray[np.float64], counts_H: NDArray[np.float64]) -> dict[str, float]:
    figures = {}
    if counts_H.sum():
        figures[f"error/{name}"] = float(np.sqrt(squares_H.sum() / counts_H.sum()))
    for part in np.array_split(np.arange(len(squares_H)), min(4, len(squares_H))):
        if counts_H[part].sum():
            key = f"error/{name}/{part[0] + 1}-{part[-1] + 1}"
            figures[key] = float(np.sqrt(squares_H[part].sum() / counts_H[part].sum()))
    return figures


def offline_figures(saved: SavedPolicy, datasets: Sequence[Path], labels: Sequence[str] = ()) -> dict[str, float]:
    """Errors of a fitted policy on all that `datasets` hold of the kinds that it knows. Raises ConfigError where they
    hold none."""
    sources = tuple(MixtureSource(dataset=str(path), labels=tuple(labels)) for path in datasets)
    cells, _ = cells_of(Mixture(sources=sources))
    known = [cell for cell in cells if cell.head in saved.heads]
    if not known:
        raise ConfigError(
            f"the model has the heads {', '.join(saved.heads)}; the data has {', '.join(cell.head for cell in cells)}"
        )
    windows = Windows(
        [cell.reader_source(cell.episodes) for cell in known],
        WindowConfig(
            cameras=saved.views,
            horizon_steps=saved.config.head.horizon,
            horizon_s=saved.horizon_s,
            size_px=saved.config.backbone.image_px,
        ),
    )
    prepare = PrepareConfig(
        views=tuple(saved.views),
        state_size=saved.config.head.state_size,
        action_size=saved.config.head.action_size,
        encoder=saved.config.backbone.kind,
    )
    return OfflineError(windows, prepare, saved.heads)(saved.network)
