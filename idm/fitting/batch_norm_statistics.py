"""Statistics of batch norms, measured afresh on clean windows and then held.

While a network trains, the statistics that its norms keep for later belong to weights of some steps ago, to augmented
pictures, and to few windows: with them the same weights scored an R2 of 0.61 on held-out clips that scored 0.81 with
statistics measured like this. A last stretch of training with norms that hold still lets the weights get used to them.
In that stretch some windows must come without pixel noise: norms that held still, and noise on every window, made a
network that saw nothing in clean pictures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from groot.data_loader import Prepare, window_batches
from groot.fit import Batch, Position, as_tensors
from idm.network.encoder import norms_of
from idm.network.model import Idm, Prediction
from storage.training_reader.windows import Windows


class CleanWindows:
    """The first `count` batches of training windows in an order of their own, without augmentation."""

    def __init__(self, windows: Windows, prepare: Prepare, *, batch_size: int, count: int = 40, seed: int = 0) -> None:
        self.count = count
        self._source = window_batches(windows, batch_size=batch_size, prepare=prepare, seed=seed)

    def __iter__(self) -> Iterator[Batch]:
        stream = self._source(Position())
        return (as_tensors(next(stream)) for _ in range(self.count))


def measure_statistics(network: Idm, windows: CleanWindows) -> None:
    """Measure the statistics of all norms on `windows`, with the weights as they are; nothing else changes."""
    norms = norms_of(network)
    if not norms:
        return
    training, momenta = network.training, [norm.momentum for norm in norms]
    device = next(network.parameters()).device
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in windows:
            _tokens(network, batch["images"].to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)


@contextmanager
def statistics_of(network: Idm, windows: CleanWindows) -> Iterator[None]:
    """Statistics measured on `windows` for a while; then those that training keeps are back."""
    own = [{name: value.clone() for name, value in norm.named_buffers()} for norm in norms_of(network)]
    measure_statistics(network, windows)
    try:
        yield
    finally:
        for norm, buffers in zip(norms_of(network), own, strict=True):
            for name, value in norm.named_buffers():
                value.copy_(buffers[name])


def predict_windows(model: Idm, images: Tensor, slot: Tensor) -> Prediction:
    """Predictions for windows (B, 2, V, H, W, 3) uint8."""
    tokens = _tokens(model, images)
    return model.predict(tokens.unflatten(0, (len(images), images.shape[2])), slot)  # type: ignore[no-untyped-call]


def _tokens(model: Idm, images: Tensor) -> Tensor:
    """Tokens (B V, S, C) of windows; every frame is encoded once."""
    count = images.shape[0] * images.shape[2]
    features: Any = model.encode(images.transpose(0, 1).flatten(0, 2))
    return model.tokens(tuple(part[:count] for part in features), tuple(part[count:] for part in features))
