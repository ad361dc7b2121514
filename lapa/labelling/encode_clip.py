"""Latents of whole clips, the way labels, health checks and reports all get them: in order, each frame encoded once.

Where the encoder looks at single frames its tokens are computed once a frame; where it fuses a pair at its input
there is one pass a pair, which is one a step as well. So a clip costs about one encoder pass a frame either way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lapa.fitting.clips import Clip
from lapa.network.model import LatentActionModel

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Latents:
    """What the model says of P pairs, in the order of the steps asked for: `latent` (P, C x D) before quantisation,
    `codes` (P, C x D) after it, `indices` (P, I) int32."""

    latent: Array
    codes: Array
    indices: NDArray[np.int32]


@torch.no_grad()
def encode_clip(
    model: LatentActionModel, clip: Clip, steps: Sequence[int] | NDArray[np.int64] | None = None, *, batch: int = 64
) -> Latents:
    """Latents of the pairs that start at `steps` (all good pairs by default). The model should be in eval mode."""
    chosen = clip.pairs if steps is None else np.asarray(steps, np.int64)
    if not len(chosen):
        nothing = np.zeros((0, model.config.latent_size), np.float32)
        return Latents(nothing, nothing, np.zeros((0, model.config.indices), np.int32))
    needed = np.unique(np.concatenate([chosen, clip.later[chosen]]))
    now, later = np.searchsorted(needed, chosen), np.searchsorted(needed, clip.later[chosen])
    seen, in_order = _Seen(model, clip, needed, batch), bool(np.all(np.diff(now) > 0))
    latents, codes, indices = [], [], []
    for begin in range(0, len(chosen), batch):
        span = slice(begin, begin + batch)
        latent_BCD = model.encoder.of_pair(seen.at(now[span]), seen.at(later[span])).float()
        out = model.quantise(latent_BCD)
        latents.append(latent_BCD)
        codes.append(out.codes)
        indices.append(out.indices)
        if in_order:
            seen.forget(int(now[span][-1]))
    latent, code = (torch.cat(each).flatten(1).cpu().numpy() for each in (latents, codes))
    return Latents(latent, code, torch.cat(indices).cpu().numpy().astype(np.int32))


class _Seen:
    """What the encoder needs of each frame of a clip, computed once, in order, and forgotten when it is behind.

    Steps are mostly asked for in growing order, so that only the frames between the two ends of a batch are kept.
    """

    def __init__(self, model: LatentActionModel, clip: Clip, needed: NDArray[np.int64], batch: int) -> None:
        self.model, self.clip, self.needed, self.batch = model, clip, needed, batch
        self.first = self.done = 0
        self.kept: Tensor | None = None

    def at(self, places: NDArray[np.int64]) -> Tensor:
        """The frames at `places` of `needed`."""
        while self.done <= int(places.max()):
            steps = self.needed[self.done : self.done + self.batch]
            images = torch.from_numpy(self.clip.frames_of([int(step) for step in steps]))
            encoded = self.model.encoder.of_frame(self.model.look(images))
            self.kept = encoded if self.kept is None or not len(self.kept) else torch.cat([self.kept, encoded])
            self.done += len(steps)
        assert self.kept is not None
        begin = int(places[0]) - self.first
        if np.array_equal(places, np.arange(places[0], places[0] + len(places))):
            return self.kept[begin : begin + len(places)]
        return self.kept[torch.from_numpy(places - self.first)]

    def forget(self, before: int) -> None:
        """Drop what no later pair will look at again."""
        if self.kept is not None:
            self.kept = self.kept[before - self.first :]
            self.first = before
