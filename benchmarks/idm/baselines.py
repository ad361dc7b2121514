"""What an inverse dynamics model has to beat: the mean, a linear model on small grey pictures, a plain five-layer
CNN."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa.evaluation.linear_probe import fit_probe

Array = NDArray[Any]
LINEAR_PX = (18, 24)
CNN_PX = (72, 96)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pictures of clips at 96 x 72 (frames (F, 72, 96, 3) uint8, one clip after another), and pairs of them: `now` and
    `later` (N,) with the change (N, D) between them, and the number of each pair's `clip` (N,)."""

    frames: Array
    now: Array
    later: Array
    change: Array
    clip: Array


def pairs_of(clips: Sequence[tuple[Array, Array]], *, steps: int) -> Pairs:
    """All pairs `steps` frames apart of clips of (frames (T, H, W, 3), numbers (T, D))."""
    frames, now, change, clip, first = [], [], [], [], 0
    for number, (images, numbers) in enumerate(clips):
        small = np.stack([cv2.resize(i, (CNN_PX[1], CNN_PX[0]), interpolation=cv2.INTER_AREA) for i in images])
        frames.append(small)
        count = len(images) - steps
        now.append(first + np.arange(count))
        change.append(numbers[steps:] - numbers[:-steps])
        clip.append(np.full(count, number))
        first += len(images)
    starts = np.concatenate(now)
    return Pairs(
        frames=np.concatenate(frames),
        now=starts,
        later=starts + steps,
        change=np.concatenate(change),
        clip=np.concatenate(clip),
    )


def linear_model(train: Pairs, test: Pairs) -> Array:
    """Ridge regression on the grey frame and the grey difference at 24 x 18, its penalty chosen over folds of whole
    clips: predicted changes of `test`."""

    def inputs(pairs: Pairs) -> Array:
        grey = np.stack(
            [cv2.resize(frame.mean(axis=2), (LINEAR_PX[1], LINEAR_PX[0])) / 255 for frame in pairs.frames]
        ).reshape(len(pairs.frames), -1)
        return np.concatenate([grey[pairs.now], grey[pairs.later] - grey[pairs.now]], axis=1)

    predicted: Array = fit_probe(inputs(train), train.change, train.clip).predict(inputs(test))
    return predicted


class PlainNetwork(nn.Module):
    """Five convolutions on the frame and the difference, one hidden layer, the change."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        widths = (6, 32, 64, 96, 128, 128)
        layers: list[nn.Module] = []
        for inputs, width in pairwise(widths):
            layers += [nn.Conv2d(inputs, width, 3, 2, 1), nn.GroupNorm(8, width), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(128 * 3 * 3, 256)
        self.out = nn.Linear(256, outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(F.relu(self.hidden(self.convolutions(x).flatten(1))))
        return result


def plain_network(train: Pairs, test: Pairs, *, steps: int, batch: int = 64) -> Array:
    """An L1 regression without augmentation: predicted changes of `test`."""
    torch.manual_seed(0)
    model = PlainNetwork(train.change.shape[1])
    scale = np.maximum(train.change.std(axis=0), 1e-6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.02)
    random = np.random.default_rng(0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
        chosen = random.integers(0, len(train.now), batch)
        with torch.autocast("cpu", torch.bfloat16):
            guess = model(_inputs(train, chosen))
        loss = F.l1_loss(guess.float(), torch.from_numpy(train.change[chosen] / scale).float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    with torch.no_grad():
        places = np.array_split(np.arange(len(test.now)), max(len(test.now) // 128, 1))
        guesses = [model(_inputs(test, rows)).numpy() for rows in places]
    predicted: Array = np.concatenate(guesses) * scale
    return predicted


def _inputs(pairs: Pairs, rows: Array) -> Tensor:
    now, later = (torch.from_numpy(pairs.frames[index[rows]]).float() / 255 for index in (pairs.now, pairs.later))
    return torch.cat([now - 0.5, later - now], dim=3).permute(0, 3, 1, 2)
