"""What the last fit of the starter judge shows its language model: clips whose tokens are computed once.

Tower and projector rest by then, so a frame is looked at once in each of its views, and a step costs what the language
model costs. Bent arms come from a store of bent frames, another run of them for every clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers import AyaVisionModel

from benchmarks.judge.clips import MOMENTS, Drawn
from benchmarks.judge.lessons import Shown
from benchmarks.judge.material.bends import bent_at_random, tokens_of
from benchmarks.judge.material.views import PLAIN, View, view

BENDS = 5
"""Bent frames in store for a moment."""
LOOKED_AT = (*range(0, MOMENTS, 2), MOMENTS - 1)
"""The moments that clips are taken from (`lessons.sampled`)."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """An episode, numbers of bent frames by moment, and ways to see it."""

    number: int
    drawn: Drawn
    bent: Mapping[int, tuple[int, ...]]
    views: tuple[View, ...]

    def bent_anew(self, rng: np.random.Generator) -> Drawn:
        """The episode with another warped clip: a run of its moments, as long as the one that it was drawn with."""
        begin = int(rng.integers(3, MOMENTS - 5))
        end = int(rng.integers(begin + 4, MOMENTS + 1))
        order = list(range(MOMENTS))
        for moment in range(begin, end):
            if self.bent.get(moment):
                order[moment] = int(rng.choice(self.bent[moment]))
        return replace(self.drawn, clips={**self.drawn.clips, "warped": tuple(order)})


def material_of(number: int, drawn: Drawn, rng: np.random.Generator) -> Material:
    """With arms bent where they are known (an episode with boxes), and four views: as it is, soft, moved, both."""
    bent: dict[int, tuple[int, ...]] = {}
    frames = list(drawn.frames)
    for moment in LOOKED_AT if drawn.names else ():
        made = [each for _ in range(BENDS) if (each := bent_at_random(drawn, moment, rng)) is not None]
        bent[moment] = tuple(range(len(frames), len(frames) + len(made)))
        frames += made
    views = (
        PLAIN,
        *(view(rng, soft=soft, moved=moved) for soft, moved in ((True, False), (False, True), (True, True))),
    )
    return Material(number=number, drawn=replace(drawn, frames=np.stack(frames)), bent=bent, views=views)


@dataclass(frozen=True, kw_only=True)
class Look:
    """A clip of an episode, in one of its views."""

    material: Material
    clip: Shown
    view: int


class Tokens:
    """What the projector says of frames, each view of each frame computed once."""

    def __init__(self, inner: AyaVisionModel) -> None:
        self._inner = inner.eval()
        self._kept: dict[tuple[int, int, int], Tensor] = {}

    @torch.no_grad()
    def __call__(self, looks: Sequence[Look]) -> Tensor:
        """(B * 8, tokens, width)"""
        wanted = [(look.material.number, look.view, frame) for look in looks for frame in look.clip.frames]
        pictures = {
            key: look.material.views[look.view](look.material.drawn.frames[key[2]])
            for look in looks
            for key in ((look.material.number, look.view, frame) for frame in look.clip.frames)
            if key not in self._kept
        }
        if pictures:
            fresh = tokens_of(self._inner, np.stack(list(pictures.values())))
            self._kept.update(zip(pictures, fresh.to(torch.float16), strict=True))
        return torch.stack([self._kept[key] for key in wanted]).float()
